// SPDX-License-Identifier: Apache-2.0
#include "cli/known_groups.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/error.hpp"
#include "cli/point_output.hpp"
#include "cli/table.hpp"

namespace icecore::cli {

namespace {

using repository::Manifest;
using repository::ManifestGroup;

constexpr std::size_t k_prefix_min = 4;

bool is_recorded(const ManifestGroup::Member& member) { return member.time != base::Timestamp{}; }

void take_point(KnownGroup& known, const Manifest& point) {
  known.there.insert(point.id);
  for (ManifestGroup::Member& member : known.group.members) {
    if (member.point_id != point.id || is_recorded(member)) continue;
    member.time = point.time;
    member.consistency = point.consistency;
    member.freeze_ms = point.freeze_ms;
  }
}

base::Timestamp first_time(const ManifestGroup& group) {
  base::Timestamp first{};
  for (const ManifestGroup::Member& member : group.members) {
    if (is_recorded(member) && (first == base::Timestamp{} || member.time < first)) first = member.time;
  }
  return first;
}

std::string state_of(const KnownGroup& known, const std::string& point, const std::set<std::string>& pending) {
  if (pending.contains(point)) return "pending upload";
  return known.there.contains(point) ? "there" : "not there";
}

std::string member_table(const KnownGroup& known, const std::set<std::string>& pending) {
  std::vector<std::vector<std::string>> rows;
  for (const ManifestGroup::Member& member : known.group.members) {
    const bool recorded = is_recorded(member);
    rows.push_back({short_id(member.point_id), member.domain_name, recorded ? point_time(member.time) : "",
                    recorded ? std::string(to_string(member.consistency)) : "",
                    recorded ? fmt::format("{} ms", member.freeze_ms) : "", state_of(known, member.point_id, pending)});
  }
  return format_table({{"ID"}, {"DOMAIN"}, {"TIME (UTC)"}, {"CONSISTENCY"}, {"FROZEN", Align::right}, {"POINT"}}, rows);
}

// All were frozen, or off, before the first snapshot and until after the last: their disks are of one instant.
bool stood_still(const ManifestGroup& group) {
  return std::all_of(group.members.begin(), group.members.end(), [](const ManifestGroup::Member& member) {
    return is_recorded(member) && member.consistency == repository::Consistency::filesystem;
  });
}

std::string completeness(const KnownGroup& known) {
  const std::string count = fmt::format("{} of {} are there", known.there.size(), known.group.members.size());
  if (!known.whole()) return count + ": these are restored one by one";
  return count + (known.stated ? "" : ", of which the repository holds no note yet");
}

}  // namespace

std::vector<KnownGroup> known_groups(repository::Repository& repository, const ReadablePoints& points) {
  std::map<std::string, KnownGroup> by_id;
  for (const Manifest& point : points.points) {
    if (!point.group) continue;
    KnownGroup& known = by_id.try_emplace(point.group->id, KnownGroup{.group = *point.group}).first->second;
    take_point(known, point);
  }
  for (const std::string& object : repository::list_group_objects(repository)) {
    const auto known = by_id.find(repository::point_of_manifest(object));
    if (known != by_id.end()) known->second.stated = true;
  }
  std::vector<KnownGroup> groups;
  for (auto& [id, known] : by_id) {
    known.time = first_time(known.group);
    groups.push_back(std::move(known));
  }
  std::stable_sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) { return a.time < b.time; });
  return groups;
}

const KnownGroup* find_group(const std::vector<KnownGroup>& groups, const std::string& name) {
  if (name.size() < k_prefix_min) return nullptr;
  const KnownGroup* found = nullptr;
  for (const KnownGroup& known : groups) {
    if (!known.group.id.starts_with(name)) continue;
    if (found != nullptr) base::fail(base::Fault::usage, "'{}' fits several groups; give more digits", name);
    found = &known;
  }
  return found;
}

const KnownGroup* find_group_only(const ReadablePoints& points, const std::vector<KnownGroup>& groups,
                                  const std::string& name) {
  const KnownGroup* const group = find_group(groups, name);
  for (const Manifest& point : points.points) {
    if (group == nullptr || point.domain_name == name) return nullptr;
    if (point.id.starts_with(name))
      base::fail(base::Fault::usage, "'{}' fits a restore point and a group; give more digits", name);
  }
  return group;
}

std::map<std::string, std::string> group_labels(const std::vector<KnownGroup>& groups) {
  std::map<std::string, std::string> labels;
  for (const KnownGroup& known : groups) {
    const std::string count =
        known.whole() ? "" : fmt::format(" ({} of {})", known.there.size(), known.group.members.size());
    for (const std::string& point : known.there) labels[point] = short_id(known.group.id) + count;
  }
  return labels;
}

std::string format_group(const KnownGroup& known, const std::set<std::string>& pending) {
  std::vector<std::pair<std::string, std::string>> facts = {
      {"group", known.group.id},
      {"time", point_time(known.time)},
      {"within", fmt::format("{} ms, from the first snapshot's begin to the last one's end{}", known.group.spread_ms,
                             stood_still(known.group) ? "; all stood still meanwhile" : "")}};
  if (!known.group.quiesce.empty()) facts.emplace_back("freezing", known.group.quiesce);
  facts.emplace_back("points", completeness(known));
  return format_facts(facts) + "\n" + member_table(known, pending);
}

base::Json group_record(const KnownGroup& known, const std::set<std::string>& pending) {
  base::Json members = base::Json::array();
  for (const ManifestGroup::Member& member : known.group.members) {
    base::Json record = {{"domain", member.domain_name},
                         {"domain_uuid", member.domain_uuid},
                         {"point", member.point_id},
                         {"there", known.there.contains(member.point_id)},
                         {"pending", pending.contains(member.point_id)}};
    if (is_recorded(member)) {
      record["time"] = base::format_time(member.time);
      record["consistency"] = to_string(member.consistency);
      record["freeze_ms"] = member.freeze_ms;
    }
    members.push_back(std::move(record));
  }
  return {{"group", known.group.id},
          {"time", base::format_time(known.time)},
          {"spread_ms", known.group.spread_ms},
          {"quiesce", known.group.quiesce},
          {"whole", known.whole()},
          {"stated", known.stated},
          {"members", std::move(members)}};
}

std::vector<JsonField> group_fields(const std::string& prefix) {
  return {{prefix + "group", "32 hex digits; 4 or more of the first name it on the command line"},
          {prefix + "time, spread_ms", "of its first snapshot, UTC, and from its begin to the last one's end"},
          {prefix + "quiesce", "required, try or off; empty: not recorded"},
          {prefix + "whole", "true when all its points are there"},
          {prefix + "stated", "true when the repository holds its object, written when all its points were there"},
          {prefix + "members[]",
           "domain, domain_uuid, point, there, pending, and as far as known time, consistency, freeze_ms"}};
}

}  // namespace icecore::cli
