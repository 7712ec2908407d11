// SPDX-License-Identifier: Apache-2.0
#include "cli/point_output.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/bytes.hpp"
#include "cli/table.hpp"

namespace icecore::cli {

namespace {

using repository::Manifest;
using repository::ManifestDisk;
using repository::Protections;

std::string disk_names(const Manifest& point) {
  std::vector<std::string> names;
  for (const ManifestDisk& disk : point.disks) names.push_back(disk.target);
  return fmt::format("{}", fmt::join(names, ","));
}

// How its changes were found: "bitmap", "scan", or both where its disks differ.
std::string change_maps(const Manifest& point) {
  std::vector<std::string> maps;
  for (const ManifestDisk& disk : point.disks) {
    if (std::find(maps.begin(), maps.end(), disk.change_map) == maps.end()) maps.push_back(disk.change_map);
  }
  return fmt::format("{}", fmt::join(maps, ","));
}

// The file of an encrypted disk is what is stored, not what the guest reads of it.
std::string described_format(const ManifestDisk& disk) {
  return disk.content == repository::DiskContent::file ? disk.format + ", encrypted file" : disk.format;
}

std::string disk_table(const Manifest& point) {
  std::vector<std::vector<std::string>> rows;
  for (const ManifestDisk& disk : point.disks) {
    rows.push_back({disk.target, described_format(disk), base::format_size(disk.virtual_size),
                    base::format_size(disk.allocated_bytes), base::format_size(disk.bytes_read),
                    base::format_size(disk.bytes_new), base::format_size(disk.bytes_stored), disk.change_map,
                    disk.source_path});
  }
  return format_table({{"DISK"},
                       {"FORMAT"},
                       {"SIZE", Align::right},
                       {"ALLOCATED", Align::right},
                       {"READ", Align::right},
                       {"NEW", Align::right},
                       {"STORED", Align::right},
                       {"CHANGES BY"},
                       {"SOURCE"}},
                      rows);
}

base::Json disk_record(const ManifestDisk& disk) {
  return {{"target", disk.target},
          {"bus", disk.bus},
          {"source", disk.source_path},
          {"format", disk.format},
          {"content", std::string(to_string(disk.content))},
          {"virtual_size", disk.virtual_size},
          {"allocated_bytes", disk.allocated_bytes},
          {"change_map", disk.change_map},
          {"change_map_reason", disk.change_map_reason},
          {"bytes_read", disk.bytes_read},
          {"bytes_new", disk.bytes_new},
          {"bytes_stored", disk.bytes_stored}};
}

base::Json group_record(const Manifest& point) {
  if (!point.group) return nullptr;
  base::Json members = base::Json::array();
  for (const auto& member : point.group->members)
    members.push_back(
        {{"domain", member.domain_name}, {"domain_uuid", member.domain_uuid}, {"point", member.point_id}});
  return {{"id", point.group->id}, {"spread_ms", point.group->spread_ms}, {"members", members}};
}

// What the guest noticed of the snapshot.
std::pair<std::string, std::string> guest_stood_still(const Manifest& point) {
  if (point.mode == repository::CaptureMode::full_state)
    return {"guest paused",
            fmt::format("{} ms, while its memory was saved in {} ms", point.paused_ms, point.snapshot_ms)};
  return {"guest frozen", fmt::format("{} ms, of these the snapshot {} ms", point.freeze_ms, point.snapshot_ms)};
}

}  // namespace

std::string point_time(base::Timestamp time) {
  const std::string full = base::format_time(time);
  return full.substr(0, full.find('.')) + "Z";
}

std::uint64_t total_size(const Manifest& point) {
  std::uint64_t size = 0;
  for (const ManifestDisk& disk : point.disks) size += disk.virtual_size;
  return size;
}

std::string format_point_list(const std::vector<Manifest>& points, const Protections& protections,
                              const std::map<std::string, std::string>& groups) {
  std::vector<std::vector<std::string>> rows;
  const auto any = [&](const auto& by_id) {
    return std::any_of(points.begin(), points.end(), [&](const Manifest& point) { return by_id.contains(point.id); });
  };
  const bool any_group = any(groups);
  const bool any_protected = any(protections);
  for (const Manifest& point : points) {
    rows.push_back({short_id(point.id), point.domain_name, point_time(point.time), std::string(to_string(point.mode)),
                    std::string(to_string(point.consistency)), base::format_size(total_size(point)),
                    base::format_size(point.bytes_stored), change_maps(point), disk_names(point)});
    const auto group = groups.find(point.id);
    if (any_group) rows.back().push_back(group == groups.end() ? "" : group->second);
    if (any_protected) rows.back().push_back(protections.contains(point.id) ? "protected" : "");
  }
  std::vector<Column> columns = {{"ID"},
                                 {"DOMAIN"},
                                 {"TIME (UTC)"},
                                 {"MODE"},
                                 {"CONSISTENCY"},
                                 {"SIZE", Align::right},
                                 {"STORED", Align::right},
                                 {"CHANGES BY"},
                                 {"DISKS"}};
  if (any_group) columns.push_back({"GROUP"});
  if (any_protected) columns.push_back({"PROTECTED"});
  return format_table(columns, rows);
}

std::string format_point(const Manifest& point, const Protections& protections) {
  std::vector<std::pair<std::string, std::string>> facts = {
      {"restore point", point.id},
      {"domain", fmt::format("{} ({})", point.domain_name, point.domain_uuid)},
      {"time", point_time(point.time)},
      {"host", point.host},
      {"mode", std::string(to_string(point.mode))},
      {"consistency", std::string(to_string(point.consistency))},
      guest_stood_still(point),
      {"took", fmt::format("{:.1f} s", static_cast<double>(point.duration_ms) / 1000)},
      {"read", base::format_size(point.bytes_read)},
      {"new",
       fmt::format("{}, stored as {}", base::format_size(point.bytes_new), base::format_size(point.bytes_stored))},
      {"made by", "icecore " + point.tool_version}};
  if (const auto at = protections.find(point.id); at != protections.end()) {
    const repository::Protection& by = at->second;
    facts.emplace_back("protected", fmt::format("since {}, on '{}'{}", point_time(by.created), by.host,
                                                by.reason.empty() ? "" : ": " + by.reason));
  }
  if (point.group) {
    facts.emplace_back("group", short_id(point.group->id));
    for (const auto& member : point.group->members) {
      if (member.point_id == point.id) continue;
      facts.emplace_back("same instant", fmt::format("{} of '{}', within {} ms", short_id(member.point_id),
                                                     member.domain_name, point.group->spread_ms));
    }
  }
  if (!point.tags.empty()) facts.emplace_back("tags", fmt::format("{}", fmt::join(point.tags, ", ")));
  for (const repository::ManifestBlob& blob : point.blobs) {
    facts.emplace_back(blob.kind, fmt::format("{} ({})", base::format_size(blob.size), blob.path));
  }
  for (const ManifestDisk& disk : point.disks) {
    if (!disk.change_map_reason.empty())
      facts.emplace_back("changes of " + disk.target, disk.change_map + ": " + disk.change_map_reason);
  }
  for (const repository::SkippedDisk& disk : point.skipped) {
    facts.emplace_back("without " + disk.target, disk.reason);
  }
  return format_facts(facts) + "\n" + disk_table(point);
}

base::Json point_record(const Manifest& point, const Protections& protections) {
  const auto protection = protections.find(point.id);
  const bool is_protected = protection != protections.end();
  base::Json disks = base::Json::array();
  for (const ManifestDisk& disk : point.disks) disks.push_back(disk_record(disk));
  base::Json skipped = base::Json::array();
  for (const auto& disk : point.skipped) skipped.push_back({{"target", disk.target}, {"reason", disk.reason}});
  base::Json blobs = base::Json::array();
  for (const auto& blob : point.blobs) {
    blobs.push_back({{"kind", blob.kind}, {"path", blob.path}, {"size", blob.size}, {"details", blob.details}});
  }
  return {{"id", point.id},
          {"group", group_record(point)},
          {"domain", point.domain_name},
          {"domain_uuid", point.domain_uuid},
          {"host", point.host},
          {"time", base::format_time(point.time)},
          {"mode", to_string(point.mode)},
          {"consistency", to_string(point.consistency)},
          {"freeze_ms", point.freeze_ms},
          {"snapshot_ms", point.snapshot_ms},
          {"paused_ms", point.paused_ms},
          {"duration_ms", point.duration_ms},
          {"tool_version", point.tool_version},
          {"tags", point.tags},
          {"protected", is_protected},
          {"protection_reason", is_protected ? protection->second.reason : ""},
          {"size", total_size(point)},
          {"bytes_read", point.bytes_read},
          {"bytes_new", point.bytes_new},
          {"bytes_stored", point.bytes_stored},
          {"disks", disks},
          {"skipped", skipped},
          {"blobs", blobs}};
}

std::vector<JsonField> point_fields(const std::string& prefix) {
  return {
      {prefix + "id", "32 hex digits; 4 or more of the first name it on the command line"},
      {prefix + "domain, domain_uuid, host", "whose disks, and where it ran"},
      {prefix + "time", "of the snapshot, UTC"},
      {prefix + "mode", "disk-only, full-state, offline or copy"},
      {prefix + "consistency", "crash, filesystem, application or full-state"},
      {prefix + "freeze_ms, snapshot_ms, duration_ms", "how long the guest was frozen, the snapshot and all took"},
      {prefix + "paused_ms", "how long its vCPUs stood still while its memory was saved"},
      {prefix + "size", "sum of the disks' virtual sizes; all sizes are bytes"},
      {prefix + "bytes_read, bytes_new, bytes_stored", "read, of these new, and what those take in the repository"},
      {prefix + "tool_version, tags", "icecore that made it, tags given to it"},
      {prefix + "protected, protection_reason", "whether `forget` leaves it alone, and why"},
      {prefix + "disks[]",
       "target, bus, source, format, content (guest, or file: an encrypted one), virtual_size, "
       "allocated_bytes, change_map, change_map_reason, bytes_read, bytes_new, bytes_stored"},
      {prefix + "group", "null, or the points of one instant: id, spread_ms, members[] (domain, domain_uuid, point)"},
      {prefix + "skipped[]", "disks left out: target, reason"},
      {prefix + "blobs[]",
       "files that are no disks (memory, nvram, tpm, kernel, ...): kind, path, size, details (such as the NVRAM's "
       "template)"}};
}

}  // namespace icecore::cli
