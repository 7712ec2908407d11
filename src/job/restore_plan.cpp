// SPDX-License-Identifier: Apache-2.0
#include "job/restore_plan.hpp"

#include "base/error.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/storage_pool.hpp"
#include "job/restore_blobs.hpp"
#include "job/restore_domain.hpp"
#include "job/restore_image.hpp"
#include "job/restore_paths.hpp"
#include "job/restore_room.hpp"

namespace icecore::job {

using base::Fault;
using base::Json;
using base::json_field;
using repository::Manifest;
using repository::ManifestDisk;

namespace {

Json file_to_json(const PlannedFile& file) {
  return {{"target", file.target},      {"format", file.format},
          {"path", file.path.string()}, {"work_path", file.work_path.string()},
          {"replaces", file.replaces},  {"device", file.device},
          {"begun", file.begun},        {"whole", file.whole},
          {"inode", file.inode},        {"written_ns", file.written_ns}};
}

PlannedFile parse_file(const Json& json, bool plan_replaces, const std::string& what) {
  return {.target = json_field<std::string>(json, "target", what),
          .format = json_field<std::string>(json, "format", what),
          .path = json_field<std::string>(json, "path", what),
          .work_path = json_field<std::string>(json, "work_path", what),
          .replaces = json.value("replaces", plan_replaces),
          .device = json.value("device", false),
          .begun = json.value("begun", false),
          .whole = json.value("whole", false),
          .inode = json.value("inode", std::uint64_t{0}),
          .written_ns = json.value("written_ns", std::int64_t{0})};
}

std::filesystem::path pool_folder(hypervisor::Connection& connection, const std::string& name) {
  const hypervisor::StoragePool pool = hypervisor::find_pool(connection, name);
  if (!pool.holds_files()) {
    base::Error error(Fault::usage,
                      fmt::format("storage pool '{}' is of type {}, which holds no files", name, pool.type));
    throw error.add_hint(
        "make a volume there and restore onto its device: --disk-path vda=/dev/... --overwrite-device");
  }
  if (!pool.active) {
    base::Error error(Fault::unavailable, fmt::format("storage pool '{}' is not started", name));
    throw error.add_hint("virsh pool-start " + base::shell_operand(name));
  }
  if (std::filesystem::is_directory(pool.path)) return pool.path;
  base::fail(Fault::not_found, "the folder '{}' of storage pool '{}' is not on this host", pool.path.string(), name);
}

// Where disks without a path of their own go; empty: where they were.
std::optional<std::filesystem::path> destination(hypervisor::Connection* connection, const RestoreOptions& options) {
  if (options.pool) return pool_folder(*connection, *options.pool);
  return options.to;
}

// What its backup read of it may have been the changes alone.
std::uint64_t bytes_of(repository::Repository& repository, const ManifestDisk& disk) {
  try {
    return data_bytes(repository, disk.image);
  } catch (const base::Error& error) {
    if (error.fault() == Fault::cancelled) throw;
    return disk.bytes_read;  // a point that lost blocks: the restore says what is to be said
  }
}

}  // namespace

Json to_json(const RestorePlan& plan) {
  Json files = Json::array();
  for (const PlannedFile& file : plan.files) files.push_back(file_to_json(file));
  return {{"connect_uri", plan.connect_uri},
          {"point", plan.point_id},
          {"replace", plan.replace},
          {"files", files},
          {"pools", plan.pools},
          {"domain_name", plan.domain_name},
          {"domain_uuid", plan.domain_uuid},
          {"define_xml", plan.define_xml},
          {"memory_file", plan.memory_file.string()}};
}

RestorePlan parse_restore_plan(const Json& json, const std::string& job_id) {
  const std::string what = "the journal's plan of job " + job_id;
  RestorePlan plan;
  plan.connect_uri = json.value("connect_uri", "");
  plan.point_id = json_field<std::string>(json, "point", what);
  plan.replace = json_field<bool>(json, "replace", what);
  plan.pools = json.value("pools", plan.pools);
  const std::string pool = json.value("pool", std::string());  // of an older plan
  if (!pool.empty()) plan.pools.insert(pool);
  plan.domain_name = json_field<std::string>(json, "domain_name", what);
  plan.domain_uuid = json_field<std::string>(json, "domain_uuid", what);
  plan.define_xml = json_field<std::string>(json, "define_xml", what);
  plan.memory_file = json.value("memory_file", std::string());
  for (const Json& file : json_field<Json>(json, "files", what))
    plan.files.push_back(parse_file(file, plan.replace, what));
  return plan;
}

bool needs_connection(const RestoreOptions& options) {
  return !options.disks_only || options.pool || options.overwrite_device;
}

void require_unused(hypervisor::Connection& connection, const RestorePlan& plan) {
  for (const PlannedFile& file : plan.files) require_unused(connection, file, plan.domain_uuid);
}

PreparedRestore prepare_restore(hypervisor::Connection* connection, repository::Repository& repository,
                                const Manifest& manifest, const RestoreOptions& options, const std::string& job_id) {
  PreparedRestore prepared;
  if (connection != nullptr) prepared.plan.connect_uri = connection->uri();
  prepared.plan.point_id = manifest.id;
  prepared.plan.replace = options.replace;
  if (options.pool) prepared.plan.pools.insert(*options.pool);
  prepared.disks = choose_disks(manifest, options);
  const std::optional<std::filesystem::path> folder = destination(connection, options);
  for (const ManifestDisk* disk : prepared.disks) {
    prepared.plan.files.push_back(plan_file(manifest, *disk, options, folder, job_id));
    prepared.disk_bytes.push_back(bytes_of(repository, *disk));
  }
  if (!options.disks_only) require_place_for_domain(*connection, manifest, options);
  plan_firmware(prepared, repository, manifest, options, job_id);
  if (!options.disks_only) {
    plan_domain(*connection, prepared, manifest, options, replaced_definition(*connection, manifest, options));
    prepared.findings = hypervisor::check_compatibility(*connection, prepared.plan.define_xml);
  }
  plan_tpm(prepared, manifest, options, connection == nullptr ? "" : connection->uri(), job_id);
  require_free_places(connection, prepared, manifest, options);
  require_room({room_needed(prepared)});
  for (const PlannedBlob& planned : prepared.blobs) prepared.plan.files.push_back(planned.file);
  return prepared;
}

}  // namespace icecore::job
