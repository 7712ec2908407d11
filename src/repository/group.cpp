// SPDX-License-Identifier: Apache-2.0
#include "repository/group.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "repository/envelope.hpp"
#include "storage/get_if_there.hpp"

namespace icecore::repository {

using base::Fault;
using base::Json;

namespace {

constexpr std::uint64_t k_group_version = 1;
constexpr std::string_view k_folder = "groups";

template <typename T>
T field(const Json& json, std::string_view key, std::string_view what) {
  return base::json_field<T>(json, key, what);
}

Json to_json(const ManifestGroup::Member& member) {
  Json json = {{"domain", member.domain_name}, {"uuid", member.domain_uuid}, {"point", member.point_id}};
  if (member.time == base::Timestamp{}) return json;
  json["time"] = base::format_time(member.time);
  json["consistency"] = to_string(member.consistency);
  json["freeze_ms"] = member.freeze_ms;
  return json;
}

ManifestGroup::Member parse_member(const Json& json, std::string_view what) {
  ManifestGroup::Member member{.domain_name = field<std::string>(json, "domain", what),
                               .domain_uuid = field<std::string>(json, "uuid", what),
                               .point_id = field<std::string>(json, "point", what)};
  if (!json.contains("time")) return member;
  member.time = parse_stored_time(field<std::string>(json, "time", what), what);
  member.consistency = parse_consistency(field<std::string>(json, "consistency", what), what);
  member.freeze_ms = field<std::uint64_t>(json, "freeze_ms", what);
  return member;
}

base::Bytes encode_group(const KeyRing& keys, const ManifestGroup& group) {
  Json json = to_json(group);
  json["format_version"] = k_group_version;
  json["time"] = base::format_time(time_of(group).value());
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return seal(keys, ObjectKind::group, group_object(group), base::as_bytes(text));
}

ManifestGroup decode_group(const KeyRing& keys, const std::string& object, base::ByteView bytes) {
  const std::string what = "group '" + object + "'";
  const Json json = base::parse_json(base::to_string(open(keys, ObjectKind::group, object, bytes)), what);
  if (const auto version = field<std::uint64_t>(json, "format_version", what); version > k_group_version)
    fail_newer(what, version, k_group_version);
  ManifestGroup group = parse_group(json, what);
  if (group_object(group) != object) base::fail(Fault::corrupt, "{} describes '{}'", what, group_object(group));
  return group;
}

std::string object_of(const ManifestGroup::Member& member) {
  return manifest_object(member.domain_uuid, member.time, member.point_id);
}

}  // namespace

Json to_json(const ManifestGroup& group) {
  Json members = Json::array();
  for (const ManifestGroup::Member& member : group.members) members.push_back(to_json(member));
  Json json = {{"id", group.id}, {"spread_ms", group.spread_ms}, {"members", std::move(members)}};
  if (!group.quiesce.empty()) json["quiesce"] = group.quiesce;
  return json;
}

ManifestGroup parse_group(const Json& json, std::string_view what) {
  ManifestGroup group{.id = field<std::string>(json, "id", what),
                      .spread_ms = field<std::uint64_t>(json, "spread_ms", what)};
  if (json.contains("quiesce")) group.quiesce = field<std::string>(json, "quiesce", what);
  const auto members = field<Json>(json, "members", what);
  if (!members.is_array()) base::fail(Fault::corrupt, "{}: field 'members' is no list", what);
  for (const Json& member : members) group.members.push_back(parse_member(member, what));
  return group;
}

std::optional<base::Timestamp> time_of(const ManifestGroup& group) {
  const auto earlier = [](const auto& a, const auto& b) { return a.time < b.time; };
  const auto first = std::min_element(group.members.begin(), group.members.end(), earlier);
  if (first == group.members.end() || first->time == base::Timestamp{}) return std::nullopt;
  return first->time;
}

std::string group_object(const ManifestGroup& group) {
  const auto time = time_of(group);
  return time ? std::string(k_folder) + "/" + compact_time(*time) + "-" + group.id : "";
}

std::vector<ManifestGroup::Member> missing_members(storage::Storage& place, const ManifestGroup& group) {
  std::vector<std::string> names;
  for (const ManifestGroup::Member& member : group.members) names.push_back(object_of(member));
  const auto sizes = place.sizes_of(names);
  std::vector<ManifestGroup::Member> missing;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!sizes[i]) missing.push_back(group.members[i]);
  }
  return missing;
}

// Somebody may forget one of the points between our look and our deed. They look for the group's object after removing
// the manifest, so that one of us sees the other.
void complete_group(const KeyRing& keys, storage::Storage& place, const Manifest& point) {
  const std::string object = point.group ? group_object(*point.group) : "";
  if (object.empty() || place.exists(object) || !missing_members(place, *point.group).empty()) return;
  base::failpoint("repository.before_group");
  place.put(object, encode_group(keys, *point.group));
  base::failpoint("repository.group_written");
  if (!missing_members(place, *point.group).empty()) place.remove(object);
}

void remove_manifest(storage::Storage& place, const Manifest& point) {
  const std::string group = point.group ? group_object(*point.group) : "";
  if (!group.empty()) place.remove(group);
  base::failpoint("repository.group_forgotten");
  place.remove(manifest_object(point));
  if (!group.empty()) place.remove(group);  // by who published another of its points meanwhile
}

void remove_groups_of(Repository& repository, const std::string& point_id) {
  for (const StatedGroup& stated : list_groups(repository)) {
    const auto& members = stated.group.members;
    const bool named =
        std::any_of(members.begin(), members.end(), [&](const auto& m) { return m.point_id == point_id; });
    if (named) repository.storage().remove(stated.object);
  }
}

std::vector<std::string> list_group_objects(Repository& repository) {
  std::vector<std::string> names;
  for (storage::ObjectInfo& object : repository.storage().list(std::string(k_folder)))
    names.push_back(std::move(object.name));
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<ManifestGroup> load_group(Repository& repository, const std::string& object) {
  const auto bytes = storage::get_if_there(repository.storage(), object, size_max(ObjectKind::group));
  if (!bytes) return std::nullopt;
  return decode_group(repository.keys(), object, *bytes);
}

std::vector<StatedGroup> list_groups(Repository& repository, std::vector<DamagedManifest>* damaged) {
  std::vector<StatedGroup> groups;
  for (const std::string& name : list_group_objects(repository)) {
    try {
      if (auto group = load_group(repository, name)) groups.push_back({name, std::move(*group)});
    } catch (const base::Error& error) {
      if (error.fault() != Fault::corrupt && error.fault() != Fault::usage) throw;
      if (damaged != nullptr) damaged->push_back({name, error.what(), error.fault() == Fault::usage});
    }
  }
  return groups;
}

}  // namespace icecore::repository
