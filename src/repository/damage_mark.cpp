// SPDX-License-Identifier: Apache-2.0
#include "repository/damage_mark.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/json.hpp"
#include "repository/envelope.hpp"
#include "storage/get_if_there.hpp"

namespace icecore::repository {

namespace {

DamagedDisk decode_disk(const base::Json& json, std::string_view what) {
  DamagedDisk disk{base::json_field<std::string>(json, "disk", what), {}};
  for (const auto& pair : base::json_field<std::vector<std::vector<std::uint64_t>>>(json, "lost", what)) {
    if (pair.size() != 2) base::fail(base::Fault::corrupt, "{} holds a range of {} numbers", what, pair.size());
    disk.lost.push_back({pair[0], pair[1]});
  }
  return disk;
}

bool contains(const BlockRange& outer, const BlockRange& inner) {
  return inner.first >= outer.first && inner.first - outer.first <= outer.count &&
         inner.count <= outer.count - (inner.first - outer.first);
}

}  // namespace

std::string damage_object(const std::string& point_id) { return "damage/" + point_id; }

void store_damage(Repository& repository, const DamageMark& mark) {
  base::Json disks = base::Json::array();
  for (const DamagedDisk& disk : mark.disks) {
    base::Json lost = base::Json::array();
    for (const BlockRange& range : disk.lost) lost.push_back({range.first, range.count});
    disks.push_back({{"disk", disk.disk}, {"lost", std::move(lost)}});
  }
  const base::Json json = {{"point", mark.point_id},
                           {"noted", base::format_time(mark.noted)},
                           {"repaired", mark.repaired},
                           {"disks", std::move(disks)}};
  const std::string object = damage_object(mark.point_id);
  repository.storage().replace(object,
                               seal(repository.keys(), ObjectKind::damage, object, base::as_bytes(json.dump())));
}

DamageMark decode_damage(Repository& repository, const std::string& point_id, base::ByteView bytes) {
  const std::string object = damage_object(point_id);
  const std::string what = "damage record '" + object + "'";
  const base::Json json =
      base::parse_json(base::to_string(open(repository.keys(), ObjectKind::damage, object, bytes)), what);
  DamageMark mark{point_id, parse_stored_time(base::json_field<std::string>(json, "noted", what), what), {}};
  mark.repaired = !json.contains("repaired") || base::json_field<bool>(json, "repaired", what);
  for (const base::Json& disk : base::json_field<base::Json>(json, "disks", what)) {
    mark.disks.push_back(decode_disk(disk, what));
  }
  return mark;
}

std::optional<DamageMark> load_damage(Repository& repository, const std::string& point_id) {
  const std::string object = damage_object(point_id);
  if (!repository.storage().exists(object)) return std::nullopt;
  const auto bytes = storage::get_if_there(repository.storage(), object, size_max(ObjectKind::damage));
  if (!bytes) return std::nullopt;
  return decode_damage(repository, point_id, *bytes);
}

bool covers(const DamageMark& mark, const std::string& disk, const std::vector<BlockRange>& lost) {
  return std::all_of(lost.begin(), lost.end(), [&](const BlockRange& range) {
    return std::any_of(mark.disks.begin(), mark.disks.end(), [&](const DamagedDisk& noted) {
      return noted.disk == disk && std::any_of(noted.lost.begin(), noted.lost.end(),
                                               [&](const BlockRange& known) { return contains(known, range); });
    });
  });
}

std::set<std::string> list_damaged_points(Repository& repository) {
  std::set<std::string> ids;
  for (const storage::ObjectInfo& object : repository.storage().list("damage")) {
    ids.insert(object.name.substr(object.name.rfind('/') + 1));
  }
  return ids;
}

}  // namespace icecore::repository
