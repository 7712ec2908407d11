// SPDX-License-Identifier: Apache-2.0
#include "job/encrypted_disk.hpp"

#include <algorithm>
#include <optional>

#include "base/error.hpp"
#include "disk/overlay_image.hpp"
#include "hypervisor/disk_encryption.hpp"
#include "job/file_owner.hpp"
#include "job/overlay_place.hpp"

namespace icecore::job {

using base::Fault;
using hypervisor::DiskModel;

namespace {

void require_one_encrypted_file(const DiskModel& disk, const DiskPlan& plan) {
  if (plan.chain.size() > 1)
    base::fail(Fault::conflict,
               "disk '{}' is encrypted by QEMU and lies over '{}': its file alone is not the disk, so it cannot be "
               "kept as it is",
               disk.target, plan.chain[1].path.string());
  const disk::ImageInfo& image = plan.chain.front();
  if (is_device(disk) || image.external_data)
    base::fail(Fault::conflict, "disk '{}' is encrypted by QEMU, and not kept in one file, '{}'", disk.target,
               image.path.string());
  if (!image.encrypted)
    base::fail(Fault::conflict, "disk '{}' is to be encrypted by QEMU, but its image '{}' is not", disk.target,
               image.path.string());
}

// QEMU's user must get at it as it gets at the base, where libvirt does not see to that.
void give_as_base(const std::filesystem::path& overlay, const std::filesystem::path& base) {
  constexpr unsigned k_owner_and_group = 0660;
  FileOwner owner = owner_of(base);
  owner.mode &= k_owner_and_group;
  give_to(owner, overlay);
}

}  // namespace

void plan_encryption(hypervisor::Connection& connection, const DiskModel& disk, DiskPlan& plan) {
  if (disk.encryption.empty()) return;
  require_one_encrypted_file(disk, plan);
  base::with_context([&] { hypervisor::read_passphrase(connection, disk.encryption); },
                     "disk '{}' is encrypted by QEMU", disk.target);
  plan.planned.encryption = hypervisor::overlay_encryption(disk.encryption);
}

bool needs_own_overlays(const BackupPlan& plan) {
  return std::any_of(plan.disks.begin(), plan.disks.end(),
                     [](const PlannedDisk& disk) { return !disk.encryption.empty(); });
}

void make_overlays(hypervisor::Connection& connection, const PreparedBackup& prepared, const std::stop_token& stop) {
  for (const PlannedDisk& disk : prepared.plan.disks) {
    std::optional<base::Passphrase> key;
    if (!disk.encryption.empty()) key.emplace(hypervisor::read_passphrase(connection, disk.encryption));
    // It may have been grown since it was planned: a guest must not find its disk shorter.
    const disk::ImageInfo image = disk::inspect_image(disk.base_path, disk.format);
    disk::create_overlay(disk.overlay_path, image, key ? &*key : nullptr, stop);
    give_as_base(disk.overlay_path, disk.base_path);
  }
}

std::string note_on_encryption(const DiskModel& disk) {
  if (disk.encryption.empty()) return {};
  return fmt::format(
      "disk '{}' is encrypted by QEMU: its file is stored as it is, encrypted, and read in full; its secret, which can "
      "be read now and is needed again wherever it is restored, is not in the backup",
      disk.target);
}

}  // namespace icecore::job
