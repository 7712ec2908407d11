// SPDX-License-Identifier: Apache-2.0
// Disks that QEMU encrypts: taken as the file they are, which nobody opens but QEMU; what the guest writes meanwhile is
// encrypted with the same passphrase.
#pragma once

#include "hypervisor/connection.hpp"
#include "hypervisor/domain_model.hpp"
#include "job/disk_plan.hpp"
#include "job/prepare_backup.hpp"

namespace icecore::job {

// Completes the plan of an encrypted disk; nothing to do for others. Fault::conflict when images lie below it, on a
// device, or when it is not encrypted after all; not_found or denied when its secret cannot be read, which merging
// needs once the domain is off.
void plan_encryption(hypervisor::Connection& connection, const hypervisor::DiskModel& disk, DiskPlan& plan);

// True: the overlays of the plan have to be made by make_overlays() before the snapshot, all of them, since libvirt
// makes all or none.
bool needs_own_overlays(const BackupPlan& plan);

// Makes them, empty and as their bases are owned; takes seconds for an encrypted one. What a failure leaves, journalled
// names all, return_to_bases() removes.
void make_overlays(hypervisor::Connection& connection, const PreparedBackup& prepared, const std::stop_token& stop);

// For people: how such a disk is stored. Empty for others.
std::string note_on_encryption(const hypervisor::DiskModel& disk);

}  // namespace icecore::job
