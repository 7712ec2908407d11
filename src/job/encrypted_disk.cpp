// SPDX-License-Identifier: Apache-2.0
#include "job/encrypted_disk.hpp"

#include "base/error.hpp"
#include "hypervisor/disk_encryption.hpp"
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

}  // namespace

void plan_encryption(hypervisor::Connection& connection, const DiskModel& disk, DiskPlan& plan) {
  if (disk.encryption.empty()) return;
  require_one_encrypted_file(disk, plan);
  base::with_context([&] { hypervisor::read_passphrase(connection, disk.encryption); },
                     "disk '{}' is encrypted by QEMU", disk.target);
  plan.planned.encryption = hypervisor::overlay_encryption(disk.encryption);
}

std::string note_on_encryption(const DiskModel& disk) {
  if (disk.encryption.empty()) return {};
  return fmt::format(
      "disk '{}' is encrypted by QEMU: its file is stored as it is, encrypted, and read in full; its secret, which can "
      "be read now and is needed again wherever it is restored, is not in the backup",
      disk.target);
}

}  // namespace icecore::job
