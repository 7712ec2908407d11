// SPDX-License-Identifier: Apache-2.0
#include "job/own_overlays.hpp"

#include <algorithm>
#include <optional>

#include "disk/overlay_image.hpp"
#include "hypervisor/checkpoint.hpp"
#include "hypervisor/disk_encryption.hpp"
#include "job/file_owner.hpp"

namespace icecore::job {

namespace {

// QEMU's user must get at it as it gets at the base, where libvirt does not see to that.
void give_as_base(const std::filesystem::path& overlay, const std::filesystem::path& base) {
  constexpr unsigned k_owner_and_group = 0660;
  FileOwner owner = owner_of(base);
  owner.mode &= k_owner_and_group;
  give_to(owner, overlay);
}

}  // namespace

bool needs_own_overlays(hypervisor::Domain& domain, const PreparedBackup& prepared) {
  const std::vector<PlannedDisk>& disks = prepared.plan.disks;
  const auto is_encrypted = [](const PlannedDisk& disk) { return !disk.encryption.empty(); };
  if (std::any_of(disks.begin(), disks.end(), is_encrypted)) return true;
  // One that was started since has its memory planned, which never goes with overlays of ours.
  const bool off = prepared.off && prepared.plan.memory_file.empty();
  return off && !hypervisor::known_checkpoints(domain).empty();
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

}  // namespace icecore::job
