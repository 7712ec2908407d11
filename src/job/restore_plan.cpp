// SPDX-License-Identifier: Apache-2.0
#include "job/restore_plan.hpp"

#include <algorithm>
#include <map>

#include "base/error.hpp"
#include "base/shell_word.hpp"
#include "disk/image.hpp"
#include "hypervisor/domain_edit.hpp"
#include "hypervisor/file_use.hpp"
#include "hypervisor/text_diff.hpp"
#include "job/prepare_backup.hpp"

namespace icecore::job {

using base::Fault;
using base::Json;
using base::json_field;
using repository::Manifest;
using repository::ManifestDisk;

namespace {

constexpr std::size_t k_run_digits = 8;

std::vector<const ManifestDisk*> choose_disks(const Manifest& manifest, const std::vector<std::string>& targets) {
  std::vector<const ManifestDisk*> chosen;
  for (const ManifestDisk& disk : manifest.disks) {
    if (targets.empty() || std::find(targets.begin(), targets.end(), disk.target) != targets.end())
      chosen.push_back(&disk);
  }
  for (const std::string& target : targets) {
    const auto has = [&](const ManifestDisk* disk) { return disk->target == target; };
    if (std::none_of(chosen.begin(), chosen.end(), has)) {
      base::Error error(Fault::not_found,
                        fmt::format("restore point {} has no disk '{}'", manifest.id.substr(0, 8), target));
      throw error.add_hint("icecore show " + manifest.id.substr(0, 8));
    }
  }
  return chosen;
}

// With --to: named after domain and target, since disks of one domain often share a file name in different folders.
std::filesystem::path final_path(const Manifest& manifest, const ManifestDisk& disk, const RestoreOptions& options) {
  if (options.disks_only) return options.to.value() / (disk.target + "." + disk.format);
  const std::string name = options.new_name.value_or(manifest.domain_name);
  if (options.to) return *options.to / (name + "." + disk.target + "." + disk.format);
  const std::filesystem::path original = disk.source_path;
  return options.new_name ? original.parent_path() / (name + "." + disk.target + "." + disk.format) : original;
}

PlannedFile plan_file(const Manifest& manifest, const ManifestDisk& disk, const RestoreOptions& options,
                      const std::string& job_id) {
  const std::filesystem::path path = std::filesystem::absolute(final_path(manifest, disk, options));
  return {disk.target, disk.format, path, path.string() + ".icecore-" + job_id.substr(0, k_run_digits)};
}

// ---- refusals

void require_free_path(const PlannedFile& file, bool replace) {
  if (replace || !std::filesystem::exists(file.path)) return;
  base::Error error(Fault::conflict, fmt::format("'{}' exists; a restore does not write over it", file.path.string()));
  throw error.add_hint("restore elsewhere with --to DIR, or over the old domain with --replace");
}

// The disk was a block device: a file beside it would lie in the memory of /dev, and a rename would take the node away.
void require_no_device(const PlannedFile& file) {
  const bool below_dev = *std::next(file.path.begin()) == "dev";
  if (!below_dev && !std::filesystem::is_block_file(file.path)) return;
  base::Error error(Fault::conflict, fmt::format("disk '{}' would be restored to '{}', a place for devices",
                                                 file.target, file.path.string()));
  throw error.add_hint("restore it to a file with --to DIR; `qemu-img convert -n` brings that onto a device");
}

void require_folder(const PlannedFile& file) {
  const std::filesystem::path folder = file.path.parent_path();
  if (std::filesystem::is_directory(folder)) return;
  base::Error error(Fault::not_found,
                    fmt::format("there is no folder '{}' for disk '{}'", folder.string(), file.target));
  throw error.add_hint("make it, or name another with --to DIR");
}

void require_unused(hypervisor::Connection& connection, const PlannedFile& file, const std::string& domain_uuid) {
  const auto chain_of = [](const std::string& path, const std::string& format) {
    std::vector<std::string> below;
    for (const disk::ImageInfo& layer : disk::inspect_chain(path, format)) below.push_back(layer.path.string());
    return below;
  };
  for (const hypervisor::FileUse& use : hypervisor::users_of(connection, file.path, chain_of)) {
    if (use.uuid == domain_uuid && !use.running) continue;
    base::Error error(Fault::busy, fmt::format("'{}' is {} of {}domain '{}'", file.path.string(), use.role,
                                               use.running ? "the running " : "", use.domain));
    throw error.add_hint(use.running ? "virsh shutdown " + base::shell_operand(use.domain)
                                     : "restore elsewhere with --to DIR");
  }
}

// The folder, or the nearest above it that exists: --to DIR is only made when the restore begins.
std::filesystem::path existing_part(std::filesystem::path folder) {
  while (folder.has_relative_path() && !std::filesystem::exists(folder)) folder = folder.parent_path();
  return folder;
}

void require_room(const PreparedRestore& prepared) {
  std::map<std::filesystem::path, std::uint64_t> needed;
  for (std::size_t i = 0; i < prepared.disks.size(); ++i) {
    needed[existing_part(prepared.plan.files[i].path.parent_path())] += prepared.disks[i]->bytes_read;
  }
  for (const auto& [folder, bytes] : needed) {
    const std::uint64_t available = free_space(folder).first;
    if (available >= bytes) continue;
    base::Error error(Fault::no_space,
                      fmt::format("the restore needs {} in '{}', which has {} free", base::format_size(bytes),
                                  folder.string(), base::format_size(available)));
    throw error.add_hint("free some space, or restore to another folder with --to DIR");
  }
}

[[noreturn]] void fail_domain_exists(const std::string& what) {
  base::Error error(Fault::conflict, what);
  throw error.add_hint("restore under another name with --as NAME, or in its place with --replace");
}

void require_place_for_domain(hypervisor::Connection& connection, const Manifest& manifest,
                              const RestoreOptions& options) {
  const std::string name = options.new_name.value_or(manifest.domain_name);
  const bool has_uuid = !options.new_name && connection.has_domain(manifest.domain_uuid);
  if (has_uuid && options.replace) {
    hypervisor::Domain domain = connection.domain(manifest.domain_uuid);
    if (domain.active()) {
      base::Error error(Fault::busy, fmt::format("domain '{}' is running and cannot be replaced", domain.name()));
      throw error.add_hint("virsh shutdown " + base::shell_operand(domain.name()));
    }
    if (domain.has_managed_save()) {
      base::Error error(
          Fault::conflict,
          fmt::format("domain '{}' has a saved memory image that fits only its present disks", domain.name()));
      throw error.add_hint("virsh managedsave-remove " + base::shell_operand(domain.name()));
    }
    return;
  }
  if (has_uuid) fail_domain_exists(fmt::format("domain '{}' exists", connection.domain(manifest.domain_uuid).name()));
  if (connection.has_domain(name)) fail_domain_exists(fmt::format("another domain is called '{}'", name));
}

// ---- the domain's XML

void plan_domain(PreparedRestore& prepared, const Manifest& manifest, const RestoreOptions& options) {
  const std::string& saved = manifest.inactive_xml.empty() ? manifest.live_xml : manifest.inactive_xml;
  hypervisor::RestoreXmlOptions xml_options;
  if (options.new_name) xml_options.name = *options.new_name;
  xml_options.new_identity = options.new_name.has_value();
  xml_options.keep_other_disks = options.replace;
  for (const PlannedFile& file : prepared.plan.files)
    xml_options.disks.push_back({file.target, file.path.string(), file.format});
  const hypervisor::RestoreXml xml = hypervisor::make_restore_xml(saved, xml_options);
  prepared.plan.domain_name = xml.name;
  prepared.plan.domain_uuid = xml.uuid;
  prepared.plan.define_xml = xml.xml;
  prepared.notes = xml.notices;
  prepared.xml_diff =
      hypervisor::unified_diff(hypervisor::normalised_xml(saved), hypervisor::normalised_xml(xml.xml),
                               "restore point " + manifest.id.substr(0, k_run_digits), "domain " + xml.name);
}

Json file_to_json(const PlannedFile& file) {
  return {{"target", file.target},
          {"format", file.format},
          {"path", file.path.string()},
          {"work_path", file.work_path.string()}};
}

}  // namespace

Json to_json(const RestorePlan& plan) {
  Json files = Json::array();
  for (const PlannedFile& file : plan.files) files.push_back(file_to_json(file));
  return {{"point", plan.point_id},          {"replace", plan.replace},         {"files", files},
          {"domain_name", plan.domain_name}, {"domain_uuid", plan.domain_uuid}, {"define_xml", plan.define_xml}};
}

RestorePlan parse_restore_plan(const Json& json, const std::string& job_id) {
  const std::string what = "the journal's plan of job " + job_id;
  RestorePlan plan;
  plan.point_id = json_field<std::string>(json, "point", what);
  plan.replace = json_field<bool>(json, "replace", what);
  plan.domain_name = json_field<std::string>(json, "domain_name", what);
  plan.domain_uuid = json_field<std::string>(json, "domain_uuid", what);
  plan.define_xml = json_field<std::string>(json, "define_xml", what);
  for (const Json& file : json_field<Json>(json, "files", what)) {
    plan.files.push_back({json_field<std::string>(file, "target", what), json_field<std::string>(file, "format", what),
                          json_field<std::string>(file, "path", what),
                          json_field<std::string>(file, "work_path", what)});
  }
  return plan;
}

void require_unused(hypervisor::Connection& connection, const RestorePlan& plan) {
  for (const PlannedFile& file : plan.files) require_unused(connection, file, plan.domain_uuid);
}

PreparedRestore prepare_restore(hypervisor::Connection* connection, const Manifest& manifest,
                                const RestoreOptions& options, const std::string& job_id) {
  PreparedRestore prepared;
  prepared.plan.point_id = manifest.id;
  prepared.plan.replace = options.replace;
  prepared.disks = choose_disks(manifest, options.disks);
  for (const ManifestDisk* disk : prepared.disks)
    prepared.plan.files.push_back(plan_file(manifest, *disk, options, job_id));
  if (!options.disks_only) {
    require_place_for_domain(*connection, manifest, options);
    plan_domain(prepared, manifest, options);
  }
  for (const PlannedFile& file : prepared.plan.files) {
    if (!options.to) require_folder(file);
    require_free_path(file, options.replace);
    require_no_device(file);
    if (connection != nullptr) require_unused(*connection, file, manifest.domain_uuid);
  }
  require_room(prepared);
  return prepared;
}

}  // namespace icecore::job
