// SPDX-License-Identifier: Apache-2.0
// A manifest as bytes: a JSON record, then the two domain XML texts as they are. They are kept out of the
// JSON because parsing them there takes longer than everything else `list` does.
#include <algorithm>

#include "base/error.hpp"
#include "base/json.hpp"
#include "repository/envelope.hpp"
#include "repository/group.hpp"

namespace icecore::repository {

using base::Fault;
using base::Json;

namespace {

// 2: some disk's image is its file. A reader of version 1 would take that for what the guest reads.
constexpr std::uint64_t k_manifest_version = 2;
constexpr std::uint64_t k_manifest_version_without_files = 1;

constexpr std::array<std::pair<CaptureMode, std::string_view>, 4> k_modes = {{{CaptureMode::disk_only, "disk-only"},
                                                                              {CaptureMode::full_state, "full-state"},
                                                                              {CaptureMode::offline, "offline"},
                                                                              {CaptureMode::copy, "copy"}}};
constexpr std::array<std::pair<Consistency, std::string_view>, 4> k_consistencies = {
    {{Consistency::crash, "crash"},
     {Consistency::filesystem, "filesystem"},
     {Consistency::application, "application"},
     {Consistency::full_state, "full-state"}}};

constexpr std::array<std::pair<DiskContent, std::string_view>, 2> k_contents = {
    {{DiskContent::guest, "guest"}, {DiskContent::file, "file"}}};

template <typename Table, typename Enum>
std::string_view word_of(const Table& table, Enum value) noexcept {
  for (const auto& [known, word] : table) {
    if (known == value) return word;
  }
  return "unknown";
}

template <typename Enum, typename Table>
Enum value_of(const Table& table, const std::string& text, std::string_view what) {
  for (const auto& [value, word] : table) {
    if (word == text) return value;
  }
  base::fail(Fault::corrupt, "{} has the unknown value '{}'", what, text);
}

// Fields of one record, all named in errors.
struct Fields {
  const Json& json;
  std::string_view what;
  template <typename T>
  void get(std::string_view key, T& out) const {
    out = base::json_field<T>(json, key, what);
  }
  // One that older points do not have.
  template <typename T>
  void get_if_there(std::string_view key, T& out) const {
    if (json.contains(key)) get(key, out);
  }
  std::vector<Fields> records(std::string_view key) const {
    const auto found = json.find(key);
    if (found == json.end() || !found->is_array()) base::fail(Fault::corrupt, "{}: field '{}' is no list", what, key);
    std::vector<Fields> all;
    for (const Json& item : *found) all.push_back({item, what});
    return all;
  }
};

Json image_json(const ImageRoot& image) {
  return {{"root", image.root.hex()}, {"height", image.height}, {"disk_size", image.disk_size}};
}

ImageRoot parse_image(const Fields& outer) {
  const auto json = base::json_field<Json>(outer.json, "image", outer.what);
  const Fields fields{json, outer.what};
  ImageRoot image;
  std::string root;
  fields.get("root", root);
  fields.get("height", image.height);
  fields.get("disk_size", image.disk_size);
  const bool hex = root.size() == 2 * k_name_bytes && root.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!hex || image.height < 1 || image.height > k_tree_height_max)
    base::fail(Fault::corrupt, "{} names an impossible image", outer.what);
  image.root = BlockName::from(base::from_hex(root));
  return image;
}

Json disk_json(const ManifestDisk& disk) {
  Json json = {{"target", disk.target},
               {"bus", disk.bus},
               {"source_path", disk.source_path},
               {"format", disk.format},
               {"virtual_size", disk.virtual_size},
               {"cluster_size", disk.cluster_size},
               {"compat", disk.compat},
               {"extended_l2", disk.extended_l2},
               {"allocated_bytes", disk.allocated_bytes},
               {"image", image_json(disk.image)},
               {"change_map", disk.change_map},
               {"change_map_reason", disk.change_map_reason},
               {"bytes_read", disk.bytes_read},
               {"bytes_new", disk.bytes_new},
               {"bytes_stored", disk.bytes_stored}};
  if (disk.content != DiskContent::guest) json["content"] = to_string(disk.content);
  if (!disk.bitmap.empty()) json["bitmap"] = disk.bitmap;
  if (!disk.layer.empty()) json["layer"] = disk.layer;
  if (!disk.bitmap.empty() || !disk.layer.empty()) json["lineage"] = disk.lineage;
  return json;
}

ManifestDisk parse_disk(const Fields& fields) {
  ManifestDisk disk;
  fields.get("target", disk.target);
  fields.get("bus", disk.bus);
  fields.get("source_path", disk.source_path);
  fields.get("format", disk.format);
  std::string content(to_string(DiskContent::guest));
  fields.get_if_there("content", content);
  disk.content = value_of<DiskContent>(k_contents, content, fields.what);
  fields.get("virtual_size", disk.virtual_size);
  fields.get("cluster_size", disk.cluster_size);
  fields.get("compat", disk.compat);
  fields.get("extended_l2", disk.extended_l2);
  fields.get("allocated_bytes", disk.allocated_bytes);
  disk.image = parse_image(fields);
  fields.get("change_map", disk.change_map);
  fields.get("change_map_reason", disk.change_map_reason);
  fields.get_if_there("bitmap", disk.bitmap);
  fields.get_if_there("layer", disk.layer);
  fields.get_if_there("lineage", disk.lineage);
  fields.get("bytes_read", disk.bytes_read);
  fields.get("bytes_new", disk.bytes_new);
  fields.get("bytes_stored", disk.bytes_stored);
  return disk;
}

Json blob_json(const ManifestBlob& blob) {
  return {{"kind", blob.kind}, {"path", blob.path},   {"size", blob.size},   {"image", image_json(blob.image)},
          {"mode", blob.mode}, {"owner", blob.owner}, {"group", blob.group}, {"details", blob.details}};
}

ManifestBlob parse_blob(const Fields& fields) {
  ManifestBlob blob;
  fields.get("kind", blob.kind);
  fields.get("path", blob.path);
  fields.get("size", blob.size);
  blob.image = parse_image(fields);
  fields.get_if_there("mode", blob.mode);
  fields.get_if_there("owner", blob.owner);
  fields.get_if_there("group", blob.group);
  fields.get_if_there("details", blob.details);
  return blob;
}

std::uint64_t version_of(const Manifest& manifest) {
  const bool has_file = std::any_of(manifest.disks.begin(), manifest.disks.end(),
                                    [](const ManifestDisk& disk) { return disk.content == DiskContent::file; });
  return has_file ? k_manifest_version : k_manifest_version_without_files;
}

Json to_json(const Manifest& manifest) {
  Json disks = Json::array();
  for (const ManifestDisk& disk : manifest.disks) disks.push_back(disk_json(disk));
  Json skipped = Json::array();
  for (const SkippedDisk& disk : manifest.skipped)
    skipped.push_back({{"target", disk.target}, {"reason", disk.reason}});
  Json blobs = Json::array();
  for (const ManifestBlob& blob : manifest.blobs) blobs.push_back(blob_json(blob));
  return {{"format_version", version_of(manifest)},
          {"id", manifest.id},
          {"domain", {{"name", manifest.domain_name}, {"uuid", manifest.domain_uuid}}},
          {"host", manifest.host},
          {"time", base::format_time(manifest.time)},
          {"mode", to_string(manifest.mode)},
          {"consistency", to_string(manifest.consistency)},
          {"freeze_ms", manifest.freeze_ms},
          {"snapshot_ms", manifest.snapshot_ms},
          {"paused_ms", manifest.paused_ms},
          {"duration_ms", manifest.duration_ms},
          {"tool_version", manifest.tool_version},
          {"tags", manifest.tags},
          {"parent", nullptr},
          {"group", manifest.group ? to_json(*manifest.group) : Json()},
          {"disks", std::move(disks)},
          {"skipped", std::move(skipped)},
          {"blobs", std::move(blobs)},
          {"bytes_read", manifest.bytes_read},
          {"bytes_new", manifest.bytes_new},
          {"bytes_stored", manifest.bytes_stored},
          {"live_xml_bytes", manifest.live_xml.size()},
          {"inactive_xml_bytes", manifest.inactive_xml.size()}};
}

void parse_lists(const Fields& fields, Manifest& manifest) {
  for (const Fields& disk : fields.records("disks")) manifest.disks.push_back(parse_disk(disk));
  for (const Fields& disk : fields.records("skipped")) {
    disk.get("target", manifest.skipped.emplace_back().target);
    disk.get("reason", manifest.skipped.back().reason);
  }
  for (const Fields& blob : fields.records("blobs")) manifest.blobs.push_back(parse_blob(blob));
}

Manifest parse_record(const Fields& fields) {
  Manifest manifest;
  std::string text;
  fields.get("id", manifest.id);
  const auto domain = base::json_field<Json>(fields.json, "domain", fields.what);
  Fields{domain, fields.what}.get("name", manifest.domain_name);
  Fields{domain, fields.what}.get("uuid", manifest.domain_uuid);
  fields.get("host", manifest.host);
  fields.get("time", text);
  manifest.time = parse_stored_time(text, fields.what);
  fields.get("mode", text);
  manifest.mode = value_of<CaptureMode>(k_modes, text, fields.what);
  fields.get("consistency", text);
  manifest.consistency = value_of<Consistency>(k_consistencies, text, fields.what);
  fields.get("freeze_ms", manifest.freeze_ms);
  fields.get("snapshot_ms", manifest.snapshot_ms);
  if (fields.json.contains("paused_ms")) fields.get("paused_ms", manifest.paused_ms);
  fields.get("duration_ms", manifest.duration_ms);
  fields.get("tool_version", manifest.tool_version);
  fields.get("tags", manifest.tags);
  fields.get("bytes_read", manifest.bytes_read);
  fields.get("bytes_new", manifest.bytes_new);
  fields.get("bytes_stored", manifest.bytes_stored);
  // Older points have none.
  if (const auto group = fields.json.find("group"); group != fields.json.end() && !group->is_null())
    manifest.group = parse_group(*group, fields.what);
  parse_lists(fields, manifest);
  return manifest;
}

}  // namespace

std::string_view to_string(CaptureMode mode) noexcept { return word_of(k_modes, mode); }
std::string_view to_string(Consistency consistency) noexcept { return word_of(k_consistencies, consistency); }
std::string_view to_string(DiskContent content) noexcept { return word_of(k_contents, content); }

Consistency parse_consistency(const std::string& text, std::string_view what) {
  return value_of<Consistency>(k_consistencies, text, what);
}

base::Bytes encode_manifest(const Manifest& manifest) {
  // Paths and names are bytes to the kernel; what is not UTF-8 must not make a backup fail at its end.
  const std::string json = to_json(manifest).dump(-1, ' ', false, Json::error_handler_t::replace);
  base::ByteWriter writer;
  writer.u32(static_cast<std::uint32_t>(json.size()));
  writer.raw(base::as_bytes(json));
  writer.raw(base::as_bytes(manifest.live_xml));
  writer.raw(base::as_bytes(manifest.inactive_xml));
  return writer.take();
}

Manifest decode_manifest(base::ByteView payload, std::string_view what) {
  base::ByteReader reader(payload, what);
  const Json json = base::parse_json(base::to_string(reader.raw(reader.u32())), what);
  const Fields fields{json, what};
  std::uint64_t version = 0;
  fields.get("format_version", version);
  // First of all: nothing else is known to mean the same in a newer format.
  if (version > k_manifest_version) fail_newer(what, version, k_manifest_version);
  Manifest manifest = parse_record(fields);
  std::uint32_t live = 0;
  std::uint32_t inactive = 0;
  fields.get("live_xml_bytes", live);
  fields.get("inactive_xml_bytes", inactive);
  manifest.live_xml = base::to_string(reader.raw(live));
  manifest.inactive_xml = base::to_string(reader.raw(inactive));
  reader.expect_end();
  return manifest;
}

}  // namespace icecore::repository
