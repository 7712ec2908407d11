// SPDX-License-Identifier: Apache-2.0
#include "job/backup_plan.hpp"

#include <algorithm>
#include <array>
#include <regex>

namespace icecore::job {

using base::Json;
using base::json_field;

namespace {

constexpr std::size_t k_run_digits = 8;

constexpr std::array<std::pair<MergeState, std::string_view>, 5> k_merge_states = {{{MergeState::unbegun, "unbegun"},
                                                                                    {MergeState::begun, "begun"},
                                                                                    {MergeState::ending, "ending"},
                                                                                    {MergeState::done, "done"},
                                                                                    {MergeState::left, "left"}}};

std::string to_string(MergeState state) {
  return std::string(std::find_if(k_merge_states.begin(), k_merge_states.end(), [&](const auto& known) {
                       return known.first == state;
                     })->second);
}

MergeState parse_merge_state(const std::string& name, const std::string& what) {
  for (const auto& [state, known] : k_merge_states) {
    if (known == name) return state;
  }
  base::fail(base::Fault::corrupt, "{}: '{}' is no state of a merge", what, name);
}

// Older plans told it of all disks at once; the oldest that a live commit was about to begin.
MergeState older_merge_state(const Json& plan, const std::string& what) {
  if (plan.value("on_bases", false)) return MergeState::done;
  const char* const key = plan.contains("commit_begun") ? "commit_begun" : "pivot_begun";
  return plan.contains(key) && json_field<bool>(plan, key, what) ? MergeState::ending : MergeState::unbegun;
}

Json disk_to_json(const PlannedDisk& disk) {
  Json json = {{"target", disk.target},
               {"format", disk.format},
               {"base", disk.base_path.string()},
               {"overlay", disk.overlay_path.string()},
               {"chain", disk::to_json(disk.chain)},
               {"bitmap", disk.bitmap},
               {"definition", disk.definition},
               {"encryption", disk.encryption},
               {"keeps_overlay", disk.keeps_overlay},
               {"merge", to_string(disk.merge)},
               {"frozen_ns", disk.frozen_ns}};
  if (!disk.home.path.empty()) {
    json["home"] = {{"path", disk.home.path.string()},
                    {"format", disk.home.format},
                    {"definition", disk.home.definition},
                    {"frozen_ns", disk.home.frozen_ns}};
  }
  return json;
}

LayerHome parse_home(const Json& json, const std::string& what) {
  if (!json.contains("home")) return {};
  const Json home = json_field<Json>(json, "home", what);
  return {.path = json_field<std::string>(home, "path", what),
          .format = json_field<std::string>(home, "format", what),
          .definition = json_field<std::string>(home, "definition", what),
          .frozen_ns = home.value("frozen_ns", std::int64_t{0})};
}

PlannedDisk parse_disk(const Json& json, MergeState older, const std::string& what) {
  return {
      .target = json_field<std::string>(json, "target", what),
      .format = json_field<std::string>(json, "format", what),
      .base_path = json_field<std::string>(json, "base", what),
      .overlay_path = json_field<std::string>(json, "overlay", what),
      .chain = disk::chain_from_json(json_field<Json>(json, "chain", what)),
      .bitmap = json.value("bitmap", ""),  // older plans have none of these
      .definition = json.value("definition", ""),
      .encryption = json.value("encryption", ""),
      .keeps_overlay = json.value("keeps_overlay", false),
      .home = parse_home(json, what),
      .merge = json.contains("merge") ? parse_merge_state(json_field<std::string>(json, "merge", what), what) : older,
      .frozen_ns = json.value("frozen_ns", std::int64_t{0})};
}

}  // namespace

hypervisor::OverlayDisk to_overlay(const PlannedDisk& disk) {
  return {.target = disk.target,
          .base_path = disk.base_path.string(),
          .overlay_path = disk.overlay_path.string(),
          .definition = disk.definition,
          .encryption = disk.encryption};
}

bool all_merged(const BackupPlan& plan) {
  return std::all_of(plan.disks.begin(), plan.disks.end(),
                     [](const PlannedDisk& disk) { return disk.merge == MergeState::done; });
}

Json to_json(const BackupPlan& plan) {
  Json disks = Json::array();
  for (const PlannedDisk& disk : plan.disks) disks.push_back(disk_to_json(disk));
  return {{"connect_uri", plan.connect_uri},
          {"repository", plan.repository_url},
          {"repository_id", plan.repository_id},
          {"staging", plan.staging},
          {"freezes", plan.freezes},
          {"transient", plan.transient},
          {"snapshotted", plan.snapshotted},
          {"saved_before", plan.saved_before},
          {"disks", disks},
          {"memory_file", plan.memory_file.string()},
          {"max_downtime_ms", plan.max_downtime.count()},
          {"manifest", plan.manifest},
          {"published", plan.published}};
}

BackupPlan parse_backup_plan(const Json& json, const std::string& job_id) {
  const std::string what = "the journal's plan of job " + job_id;
  BackupPlan plan;
  plan.connect_uri = json.value("connect_uri", "");
  plan.repository_url = json_field<std::string>(json, "repository", what);
  plan.repository_id = json_field<std::string>(json, "repository_id", what);
  if (json.contains("staging")) plan.staging = json_field<std::string>(json, "staging", what);  // older ones have none
  plan.freezes = json_field<bool>(json, "freezes", what);
  plan.transient = json_field<bool>(json, "transient", what);
  plan.snapshotted = json.value("snapshotted", false);
  plan.saved_before = json.value("saved_before", false);
  plan.manifest = json_field<std::string>(json, "manifest", what);
  plan.published = json.value("published", false);
  if (json.contains("memory_file")) plan.memory_file = json_field<std::string>(json, "memory_file", what);
  plan.max_downtime = base::Milliseconds(json.value("max_downtime_ms", std::int64_t{0}));
  const MergeState older = older_merge_state(json, what);
  for (const Json& disk : json_field<Json>(json, "disks", what)) plan.disks.push_back(parse_disk(disk, older, what));
  return plan;
}

std::string overlay_name(const std::string& domain_uuid, const std::string& target, const std::string& job_id) {
  return domain_uuid + "." + target + "." + job_id.substr(0, k_run_digits) + ".ovl.qcow2";
}

std::string memory_file_name(const std::string& domain_uuid, const std::string& job_id) {
  return domain_uuid + ".memory." + job_id.substr(0, k_run_digits) + ".save";
}

std::string overlay_pattern(const std::string& domain_uuid, const std::string& target) {
  return overlay_name(domain_uuid, target, "*");
}

bool is_our_overlay(const std::filesystem::path& path, const std::string& domain_uuid) {
  // The target as libvirt's schema has it: "vda1" is one.
  static const std::regex tail(R"(\.[a-z][a-zA-Z0-9_]*\.[0-9a-f]{8}\.ovl\.qcow2)");
  const std::string name = path.filename().string();
  return name.starts_with(domain_uuid) && std::regex_match(name.substr(domain_uuid.size()), tail);
}

}  // namespace icecore::job
