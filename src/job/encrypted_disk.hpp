// SPDX-License-Identifier: Apache-2.0
// Disks that QEMU encrypts: taken as the file they are, which nobody opens but QEMU; what the guest writes meanwhile is
// encrypted with the same passphrase.
#pragma once

#include "hypervisor/connection.hpp"
#include "hypervisor/domain_model.hpp"
#include "job/disk_plan.hpp"

namespace icecore::job {

// Completes the plan of an encrypted disk; nothing to do for others. Fault::conflict when images lie below it, on a
// device, or when it is not encrypted after all; not_found or denied when its secret cannot be read, which merging
// needs once the domain is off.
void plan_encryption(hypervisor::Connection& connection, const hypervisor::DiskModel& disk, DiskPlan& plan);

// For people: how such a disk is stored. Empty for others.
std::string note_on_encryption(const hypervisor::DiskModel& disk);

}  // namespace icecore::job
