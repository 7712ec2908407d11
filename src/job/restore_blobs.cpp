// SPDX-License-Identifier: Apache-2.0
#include "job/restore_blobs.hpp"

#include <unistd.h>

#include <algorithm>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/domain_model.hpp"
#include "hypervisor/state_folders.hpp"
#include "job/blob.hpp"
#include "job/firmware.hpp"

namespace icecore::job {

using base::Fault;
using repository::Manifest;
using repository::ManifestBlob;

namespace fs = std::filesystem;

namespace {

constexpr std::size_t k_id_digits = 8;

bool is_boot_file(const ManifestBlob& blob) {
  return blob.kind == "kernel" || blob.kind == "initrd" || blob.kind == "dtb";
}

// Single disks, as files or in a domain that keeps the rest; or no folder to put anything else into.
bool leaves_files_out(const RestoreOptions& options) {
  const bool single_disks = !options.disks.empty() && (options.disks_only || options.replace);
  return single_disks || (options.disks_only && !options.to);
}

void add(PreparedRestore& prepared, const ManifestBlob& blob, const fs::path& path, bool replaces,
         const std::string& job_id) {
  if (!replaces && fs::exists(path)) {
    throw base::Error(Fault::conflict, fmt::format("'{}' exists; a restore does not write over it", path.string()))
        .add_hint("move it away");
  }
  PlannedFile file{.target = blob.kind, .format = "raw", .path = path};
  file.work_path = path.string() + ".icecore-" + job_id.substr(0, k_id_digits);
  file.replaces = replaces;
  prepared.blobs.push_back({&blob, std::move(file)});
}

void require_folder(const fs::path& path, const std::string& kind) {
  if (fs::is_directory(path.parent_path())) return;
  throw base::Error(Fault::not_found,
                    fmt::format("there is no folder '{}' for the {}", path.parent_path().string(), kind))
      .add_hint(fmt::format("mkdir -p {}", base::shell_word(path.parent_path().string())));
}

// ---- firmware variables

// In libvirt's manner: NAME_VARS.fd.
fs::path nvram_path(const Manifest& manifest, const ManifestBlob& blob, const RestoreOptions& options) {
  const fs::path original = blob.path;
  const std::string extension = original.has_extension() ? original.extension().string() : ".fd";
  if (options.disks_only) return options.to.value() / ("nvram" + extension);
  const std::string name = options.new_name.value_or(manifest.domain_name) + "_VARS" + extension;
  if (options.to) return *options.to / name;
  return options.new_name ? original.parent_path() / name : original;
}

void plan_nvram(PreparedRestore& prepared, const Manifest& manifest, const ManifestBlob& blob,
                const RestoreOptions& options, const std::string& job_id) {
  const fs::path path = fs::absolute(nvram_path(manifest, blob, options));
  if (!options.to) require_folder(path, blob.kind);
  add(prepared, blob, path, options.replace, job_id);
  prepared.firmware.nvram = path;
}

// ---- boot files

// Beside the disks.
fs::path boot_file_folder(const PreparedRestore& prepared, const ManifestBlob& blob, const RestoreOptions& options) {
  if (options.to) return *options.to;
  const auto is_file = [](const PlannedFile& file) { return !fs::is_block_file(file.path); };
  const auto disk = std::find_if(prepared.plan.files.begin(), prepared.plan.files.end(), is_file);
  return (disk == prepared.plan.files.end() ? fs::path(blob.path) : disk->path).parent_path();
}

// The first name that is free, or holds it already.
fs::path boot_file_path(const PreparedRestore& prepared, repository::Repository& repository, const Manifest& manifest,
                        const ManifestBlob& blob, const RestoreOptions& options) {
  const std::string name =
      options.disks_only ? blob.kind : options.new_name.value_or(manifest.domain_name) + "." + blob.kind;
  const fs::path path = fs::absolute(boot_file_folder(prepared, blob, options) / name);
  if (!fs::exists(path) || has_content_of(repository, blob, path)) return path;
  return path.string() + "." + manifest.id.substr(0, k_id_digits);
}

void plan_boot_file(PreparedRestore& prepared, repository::Repository& repository, const Manifest& manifest,
                    const ManifestBlob& blob, const RestoreOptions& options, const std::string& job_id) {
  if (has_content_of(repository, blob, blob.path)) return;
  const fs::path path = boot_file_path(prepared, repository, manifest, blob, options);
  if (!options.to) require_folder(path, blob.kind);
  if (!has_content_of(repository, blob, path)) add(prepared, blob, path, false, job_id);
  prepared.firmware.boot_files[blob.path] = path.string();
  prepared.notes.push_back(fmt::format("the {} '{}' is not on this host as it was: it is restored to '{}'", blob.kind,
                                       blob.path, path.string()));
}

// ---- writing

std::vector<repository::BlockRange> lost_blocks(const repository::DamageMark* damage, const std::string& kind) {
  for (const repository::DamagedDisk& damaged : damage ? damage->disks : std::vector<repository::DamagedDisk>()) {
    if (damaged.disk == kind) return damaged.lost;
  }
  return {};
}

// As libvirt makes them: everybody may pass, only swtpm's user may look into the last one.
void create_tpm_folder(const PlannedBlob& planned) {
  const fs::path folder = planned.file.path.parent_path();
  if (fs::exists(folder)) return;
  base::create_folders(folder.parent_path(), 0711);
  base::create_folders(folder, 0700);
  give_to({.mode = 0700, .user = planned.blob->owner, .group = planned.blob->group}, folder);
}

}  // namespace

void plan_firmware(PreparedRestore& prepared, repository::Repository& repository, const Manifest& manifest,
                   const RestoreOptions& options, const std::string& job_id) {
  if (leaves_files_out(options)) return;
  for (const ManifestBlob& blob : manifest.blobs) {
    if (blob.kind == k_nvram_blob) plan_nvram(prepared, manifest, blob, options, job_id);
    if (is_boot_file(blob)) plan_boot_file(prepared, repository, manifest, blob, options, job_id);
  }
}

void plan_tpm(PreparedRestore& prepared, const Manifest& manifest, const RestoreOptions& options,
              const std::string& uri, const std::string& job_id) {
  if (leaves_files_out(options)) return;
  fs::path folder = options.to.value_or("");
  if (!options.disks_only) {
    const hypervisor::DomainModel model = hypervisor::parse_domain(prepared.plan.define_xml);
    if (!model.tpm) return;
    folder = hypervisor::tpm_state_folder(uri, model.uuid, *model.tpm);
  }
  for (const ManifestBlob& blob : manifest.blobs) {
    if (blob.kind != k_tpm_blob) continue;
    add(prepared, blob, fs::absolute(folder / fs::path(blob.path).filename()), options.replace, job_id);
    const auto secret = blob.details.find("secret");
    if (secret == blob.details.end()) continue;
    prepared.notes.push_back("the TPM's state is encrypted with the libvirt secret " + secret->second +
                             ", which this host needs too");
  }
}

void write_blobs(repository::Repository& repository, const PreparedRestore& prepared,
                 const repository::DamageMark* damage, const std::stop_token& stop) {
  for (const PlannedBlob& planned : prepared.blobs) {
    base::with_context(
        [&] {
          if (planned.blob->kind == k_tpm_blob) create_tpm_folder(planned);
          restore_blob(repository, *planned.blob, lost_blocks(damage, planned.blob->kind), planned.file.work_path,
                       stop);
        },
        "restore to '{}'", planned.file.path.string());
  }
}

void verify_blobs(repository::Repository& repository, const PreparedRestore& prepared,
                  const repository::DamageMark* damage) {
  for (const PlannedBlob& planned : prepared.blobs) {
    const std::vector<repository::BlockRange> lost = lost_blocks(damage, planned.blob->kind);
    if (has_content_of(repository, *planned.blob, planned.file.work_path, lost)) continue;
    throw base::Error(Fault::corrupt, fmt::format("verify the {} in '{}': what was written reads back differently",
                                                  planned.blob->kind, planned.file.path.string()))
        .add_hint("what it is on is not to be trusted: restore to another disk");
  }
}

void remove_empty_tpm_folders(const RestorePlan& plan) {
  if (plan.define_xml.empty()) return;
  for (const PlannedFile& file : plan.files) {
    if (file.target != k_tpm_blob) continue;
    // Both fail, as they should, while anything is in the folder.
    const fs::path folder = file.path.parent_path();
    const bool removed = ::rmdir(folder.c_str()) == 0;
    if (removed && folder.parent_path().filename() == plan.domain_uuid) ::rmdir(folder.parent_path().c_str());
  }
}

}  // namespace icecore::job
