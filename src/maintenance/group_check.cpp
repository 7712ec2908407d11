// SPDX-License-Identifier: Apache-2.0
#include "maintenance/group_check.hpp"

#include <algorithm>

#include "base/id.hpp"
#include "repository/group.hpp"

namespace icecore::maintenance {

namespace {

std::string words_for(const std::vector<repository::ManifestGroup::Member>& missing) {
  std::string text;
  for (const auto& member : missing) {
    text += fmt::format("{}{} of '{}'", text.empty() ? "" : ", ", base::short_id(member.point_id), member.domain_name);
  }
  return text;
}

}  // namespace

std::vector<BadObject> check_groups(repository::Repository& repository) {
  std::vector<repository::DamagedManifest> damaged;
  const std::vector<repository::StatedGroup> groups = list_groups(repository, &damaged);
  std::vector<BadObject> bad;
  for (const auto& each : damaged) bad.push_back({each.object, each.reason, each.newer});
  for (const repository::StatedGroup& stated : groups) {
    const auto missing = missing_members(repository.storage(), stated.group);
    // Who forgets a point removes the group's object first.
    if (missing.empty() || !repository.storage().exists(stated.object)) continue;
    bad.push_back({stated.object, "it names restore points that are not there: " + words_for(missing)});
  }
  return bad;
}

std::vector<BadObject> settle_groups(repository::Repository& repository,
                                     const std::vector<repository::Manifest>& points) {
  std::vector<BadObject> bad = check_groups(repository);
  std::erase_if(bad, [](const BadObject& object) { return object.newer; });
  for (const BadObject& object : bad) repository.storage().remove(object.object);
  for (const repository::Manifest& point : points) complete_group(repository.keys(), repository.storage(), point);
  return bad;
}

}  // namespace icecore::maintenance
