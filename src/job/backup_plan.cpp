// SPDX-License-Identifier: Apache-2.0
#include "job/backup_plan.hpp"

#include <regex>

namespace icecore::job {

using base::Json;
using base::json_field;

namespace {

constexpr std::size_t k_run_digits = 8;

Json disk_to_json(const PlannedDisk& disk) {
  Json json = {{"target", disk.target},
               {"format", disk.format},
               {"base", disk.base_path.string()},
               {"overlay", disk.overlay_path.string()},
               {"chain", disk::to_json(disk.chain)},
               {"bitmap", disk.bitmap},
               {"definition", disk.definition},
               {"encryption", disk.encryption},
               {"keeps_overlay", disk.keeps_overlay}};
  if (!disk.home.path.empty()) {
    json["home"] = {
        {"path", disk.home.path.string()}, {"format", disk.home.format}, {"definition", disk.home.definition}};
  }
  return json;
}

LayerHome parse_home(const Json& json, const std::string& what) {
  if (!json.contains("home")) return {};
  const Json home = json_field<Json>(json, "home", what);
  return {.path = json_field<std::string>(home, "path", what),
          .format = json_field<std::string>(home, "format", what),
          .definition = json_field<std::string>(home, "definition", what)};
}

PlannedDisk parse_disk(const Json& json, const std::string& what) {
  return {.target = json_field<std::string>(json, "target", what),
          .format = json_field<std::string>(json, "format", what),
          .base_path = json_field<std::string>(json, "base", what),
          .overlay_path = json_field<std::string>(json, "overlay", what),
          .chain = disk::chain_from_json(json_field<Json>(json, "chain", what)),
          .bitmap = json.value("bitmap", ""),  // older plans have none of these
          .definition = json.value("definition", ""),
          .encryption = json.value("encryption", ""),
          .keeps_overlay = json.value("keeps_overlay", false),
          .home = parse_home(json, what)};
}

}  // namespace

hypervisor::OverlayDisk to_overlay(const PlannedDisk& disk) {
  return {.target = disk.target,
          .base_path = disk.base_path.string(),
          .overlay_path = disk.overlay_path.string(),
          .definition = disk.definition,
          .encryption = disk.encryption};
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
          {"pivot_begun", plan.pivot_begun},
          {"on_bases", plan.on_bases},
          {"disks", disks},
          {"memory_file", plan.memory_file.string()},
          {"manifest", plan.manifest}};
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
  // Older ones noted that a live commit was about to begin.
  plan.pivot_begun = json_field<bool>(json, json.contains("commit_begun") ? "commit_begun" : "pivot_begun", what);
  plan.on_bases = json.value("on_bases", false);
  plan.manifest = json_field<std::string>(json, "manifest", what);
  if (json.contains("memory_file")) plan.memory_file = json_field<std::string>(json, "memory_file", what);
  for (const Json& disk : json_field<Json>(json, "disks", what)) plan.disks.push_back(parse_disk(disk, what));
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
  static const std::regex tail(R"(\.[a-z]+\.[0-9a-f]{8}\.ovl\.qcow2)");
  const std::string name = path.filename().string();
  return name.starts_with(domain_uuid) && std::regex_match(name.substr(domain_uuid.size()), tail);
}

}  // namespace icecore::job
