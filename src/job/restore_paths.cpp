// SPDX-License-Identifier: Apache-2.0
#include "job/restore_paths.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/id.hpp"
#include "base/log.hpp"
#include "base/shell_word.hpp"
#include "disk/block_device.hpp"
#include "disk/image.hpp"
#include "disk/image_lock.hpp"
#include "hypervisor/file_use.hpp"
#include "job/layers_below.hpp"
#include "job/restore_domain.hpp"

namespace icecore::job {

using base::Fault;
using repository::Manifest;
using repository::ManifestDisk;

namespace fs = std::filesystem;

namespace {

constexpr std::size_t k_run_digits = 8;

void require_known_target(const Manifest& manifest, const std::string& target) {
  if (manifest.find_disk(target) != nullptr) return;
  base::Error error(Fault::not_found,
                    fmt::format("restore point {} has no disk '{}'", base::short_id(manifest.id), target));
  throw error.add_hint("icecore show " + base::short_id(manifest.id));
}

bool is_asked_for(const RestoreOptions& options, const std::string& target) {
  return options.disks.empty() || std::find(options.disks.begin(), options.disks.end(), target) != options.disks.end();
}

void require_chosen(const Manifest& manifest, const RestoreOptions& options, const std::string& target,
                    std::string_view option) {
  require_known_target(manifest, target);
  if (!is_asked_for(options, target))
    base::fail(Fault::usage, "{} names disk '{}', which --disk leaves out", option, target);
}

// With a folder: named after domain and target, since disks of one domain often share a file name in different folders.
fs::path default_path(const Manifest& manifest, const ManifestDisk& disk, const RestoreOptions& options,
                      const std::optional<fs::path>& folder, const std::string& format) {
  if (options.disks_only) {
    if (!folder) base::fail(Fault::usage, "no place is named for disk '{}'", disk.target);
    return *folder / (disk.target + "." + format);
  }
  const std::string file = options.new_name.value_or(manifest.domain_name) + "." + disk.target + "." + format;
  if (folder) return *folder / file;
  const fs::path original = disk.source_path;
  return options.new_name ? original.parent_path() / file : original;
}

// What a link leads to gives way, and the link stays.
fs::path behind_link(const fs::path& path) {
  return fs::is_symlink(path) && fs::is_regular_file(path) ? fs::canonical(path) : path;
}

// Nobody has its key but QEMU: it can only be what it was, a file.
void require_as_it_was(const ManifestDisk& disk, const std::string& format, bool onto_device) {
  if (disk.content == repository::DiskContent::guest || (!onto_device && format == disk.format)) return;
  base::Error error(Fault::usage, fmt::format("disk '{}' is stored as the file that QEMU encrypts, so it cannot be "
                                              "restored {}",
                                              disk.target, onto_device ? "onto a device" : "as " + format));
  throw error.add_hint(onto_device
                           ? "restore it to a file with --disk-path TARGET=FILE"
                           : "leave out --disk-format; `qemu-img convert` makes another one of the restored file");
}

std::string format_of(const ManifestDisk& disk, const RestoreOptions& options, bool onto_device) {
  const auto asked = options.disk_formats.find(disk.target);
  require_as_it_was(disk, asked == options.disk_formats.end() ? disk.format : asked->second, onto_device);
  if (asked == options.disk_formats.end()) return onto_device ? "raw" : disk.format;
  if (onto_device && asked->second != "raw")
    base::fail(Fault::usage, "disk '{}' is restored onto a device, which holds it raw", disk.target);
  return asked->second;
}

// ---- refusals

// Which every kind of restore takes.
std::string another_path(const PlannedFile& file) {
  return fmt::format("restore it elsewhere with --disk-path {}=PATH", file.target);
}

void require_free_path(const PlannedFile& file, const RestoreOptions& options) {
  if (file.replaces || !fs::exists(file.path)) return;
  base::Error error(Fault::conflict, fmt::format("'{}' exists; a restore does not write over it", file.path.string()));
  const bool may_replace = !options.new_name && !options.disks_only && !options.disk_paths.contains(file.target);
  throw error.add_hint(another_path(file) + (may_replace ? ", or over the old domain with --replace" : ""));
}

// What gives way is the domain's: where a disk of the point lay then there may be a file of somebody's now.
void require_file_of_domain(hypervisor::Connection& connection, const PlannedFile& file, const std::string& uuid) {
  if (!file.replaces || !fs::exists(file.path) || !connection.has_domain(uuid)) return;
  for (const hypervisor::FileUse& use : hypervisor::users_of(connection, file.path, layers_below)) {
    if (use.uuid == uuid) return;
  }
  base::Error error(Fault::conflict, fmt::format("'{}', where disk '{}' was, exists and is no disk of domain '{}' now",
                                                 file.path.string(), file.target, connection.domain(uuid).name()));
  throw error.add_hint("move it away, or " + another_path(file));
}

// A file there would lie in the memory of /dev.
void require_no_device_folder(const PlannedFile& file) {
  if (*std::next(file.path.begin()) != "dev") return;
  base::Error error(
      Fault::conflict,
      fmt::format("disk '{}' would be restored to '{}', a place for devices, and there is none of that name",
                  file.target, file.path.string()));
  throw error.add_hint(another_path(file) + ", onto a device with --overwrite-device");
}

void require_folder(const PlannedFile& file) {
  const fs::path folder = file.path.parent_path();
  if (fs::is_directory(file.path))
    base::fail(Fault::usage, "'{}' is a folder; name the file for disk '{}'", file.path.string(), file.target);
  if (fs::is_directory(folder)) return;
  base::Error error(Fault::not_found,
                    fmt::format("there is no folder '{}' for disk '{}'", folder.string(), file.target));
  throw error.add_hint("make it, or " + another_path(file));
}

void require_consent(const PlannedFile& file, const RestoreOptions& options) {
  if (options.overwrite_device) return;
  base::Error error(Fault::conflict, fmt::format("disk '{}' would be written over what device '{}' holds now",
                                                 file.target, file.path.string()));
  throw error.add_hint("say so with --overwrite-device, or " + another_path(file));
}

void require_fitting_device(const PlannedFile& file, const ManifestDisk& disk) {
  const std::uint64_t size = disk::device_size(file.path);
  if (size >= disk.virtual_size) return;
  base::Error error(Fault::no_space, fmt::format("device '{}' has {} bytes, disk '{}' has {}", file.path.string(), size,
                                                 file.target, disk.virtual_size));
  throw error.add_hint("make the device larger, or " + another_path(file));
}

void require_usable_device(const PlannedFile& file, const ManifestDisk& disk, const RestoreOptions& options) {
  require_consent(file, options);
  require_fitting_device(file, disk);
  disk::claim_device(file.path);
}

void require_places_apart(const std::vector<PlannedFile>& files) {
  for (std::size_t i = 0; i < files.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (fs::weakly_canonical(files[i].path) != fs::weakly_canonical(files[j].path)) continue;
      base::fail(Fault::usage, "disks '{}' and '{}' would both be restored to '{}'", files[j].target, files[i].target,
                 files[i].path.string());
    }
  }
}

// A kept layer, what a killed backup left, or a snapshot of the user's: with another device below it, it is a ruin.
[[noreturn]] void fail_below(const PlannedFile& file, const hypervisor::FileUse& use) {
  base::Error error(Fault::conflict, fmt::format("'{}' is {} of domain '{}', which would lie over another content then",
                                                 file.path.string(), use.role, use.domain));
  throw error.add_hint(
      fmt::format("`icecore recover {} --merge-layers` puts the domain on it, if it is icecore's; or {}",
                  base::shell_operand(use.domain), another_path(file)));
}

// By a QEMU that no domain of this libvirt accounts for.
void require_closed(const PlannedFile& file) {
  if (!fs::exists(file.path) || !disk::is_open_in_qemu(file.path, disk::ImageUser::any)) return;
  base::Error error(Fault::busy, fmt::format("'{}' is open in a QEMU, and by no domain of this libvirt that runs: "
                                             "the domain may run on another host",
                                             file.path.string()));
  throw error.add_hint(fmt::format("`fuser -v {}` names the process, if it is on this host; or {}",
                                   base::shell_word(file.path.string()), another_path(file)));
}

}  // namespace

std::vector<const ManifestDisk*> choose_disks(const Manifest& manifest, const RestoreOptions& options) {
  for (const std::string& target : options.disks) require_known_target(manifest, target);
  for (const auto& [target, path] : options.disk_paths) require_chosen(manifest, options, target, "--disk-path");
  for (const auto& [target, format] : options.disk_formats) require_chosen(manifest, options, target, "--disk-format");
  std::vector<const ManifestDisk*> chosen;
  for (const ManifestDisk& disk : manifest.disks) {
    if (is_asked_for(options, disk.target)) chosen.push_back(&disk);
  }
  const auto is_file = [&](const ManifestDisk* disk) {
    const auto path = options.disk_paths.find(disk->target);
    return !fs::is_block_file(path == options.disk_paths.end() ? fs::path(disk->source_path) : path->second);
  };
  std::stable_partition(chosen.begin(), chosen.end(), is_file);
  return chosen;
}

PlannedFile plan_file(const Manifest& manifest, const ManifestDisk& disk, const RestoreOptions& options,
                      const std::optional<fs::path>& folder, const std::string& job_id) {
  const auto mapped = options.disk_paths.find(disk.target);
  const bool has_path = mapped != options.disk_paths.end();
  PlannedFile file{.target = disk.target, .format = format_of(disk, options, false)};
  file.path = fs::absolute(has_path ? mapped->second : default_path(manifest, disk, options, folder, file.format));
  file.device = fs::is_block_file(file.path);
  file.replaces = options.replace && !has_path;
  if (file.replaces) file.path = behind_link(file.path);
  if (file.device) file.format = format_of(disk, options, true);
  file.work_path = file.path;
  if (!file.device) file.work_path += ".icecore-" + job_id.substr(0, k_run_digits);
  return file;
}

void require_unused(hypervisor::Connection& connection, const PlannedFile& file, const std::string& domain_uuid) {
  for (const hypervisor::FileUse& use : hypervisor::users_of(connection, file.path, layers_below)) {
    const bool keeps_what_lies_over_it = file.device && !file.replaces && use.below;
    if (keeps_what_lies_over_it) fail_below(file, use);
    if (use.uuid == domain_uuid && !use.running) {
      require_at_rest(connection.domain(use.uuid));
      continue;
    }
    base::Error error(Fault::busy, fmt::format("'{}' is {} of {}domain '{}'", file.path.string(), use.role,
                                               use.running ? "the running " : "", use.domain));
    throw error.add_hint(use.running ? "virsh shutdown " + base::shell_operand(use.domain) : another_path(file));
  }
  require_closed(file);
}

void require_free_places(hypervisor::Connection* connection, const PreparedRestore& prepared, const Manifest& manifest,
                         const RestoreOptions& options) {
  require_places_apart(prepared.plan.files);
  for (std::size_t i = 0; i < prepared.disks.size(); ++i) {
    const PlannedFile& file = prepared.plan.files[i];
    if (file.device) {
      require_usable_device(file, *prepared.disks[i], options);
    } else {
      require_no_device_folder(file);
      if (!options.to || options.disk_paths.contains(file.target)) require_folder(file);
      require_free_path(file, options);
    }
    if (connection == nullptr) continue;
    require_unused(*connection, file, replaceable_domain(manifest, options));
    require_file_of_domain(*connection, file, manifest.domain_uuid);
  }
}

std::string replaceable_domain(const Manifest& manifest, const RestoreOptions& options) {
  return options.new_name ? std::string() : manifest.domain_uuid;
}

}  // namespace icecore::job
