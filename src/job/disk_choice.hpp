// SPDX-License-Identifier: Apache-2.0
// Which disks of a domain a backup takes, and why not the others: by request and by what they are.
#pragma once

#include "hypervisor/classify.hpp"
#include "job/backup.hpp"

namespace icecore::job {

// Every verdict but `include` has its reason.
hypervisor::DiskVerdict choose_disk(const hypervisor::DiskModel& disk, bool running, const BackupOptions& options);

// The error of a backup that was asked to take a disk with such a verdict (refuse or busy).
base::Error refusal(const std::string& target, const hypervisor::DiskVerdict& verdict);

// For a hint: how to be asked for all but this disk.
std::string how_to_leave_out(const std::string& target);

// Why a disk that only_at_next_start() names is in no point.
inline constexpr const char* k_only_at_next_start = "it is only in the definition for the next start";
// The disks asked for that the domain has not yet, but will have: what is on them is in no point of it as it is now.
// They belong to `next`.
std::vector<const hypervisor::DiskModel*> only_at_next_start(const hypervisor::DomainModel& now,
                                                             const hypervisor::DomainModel& next,
                                                             const BackupOptions& options);

// Fault::usage unless the domain has all disks that the options name.
void require_known_targets(const hypervisor::DomainModel& model, const BackupOptions& options);

}  // namespace icecore::job
