// SPDX-License-Identifier: Apache-2.0
// The guest's memory in a backup: whether and where to it is saved, and the snapshot that does it.
#pragma once

#include <optional>
#include <string>

#include "hypervisor/snapshot.hpp"
#include "job/backup.hpp"
#include "job/context.hpp"
#include "job/prepare_backup.hpp"

namespace icecore::job {

// Sets the plan's memory file when the options ask for the memory and it can be saved. Returns why not when the options
// leave it at that; else Fault::conflict (something that cannot be saved), usage (not running) or no_space.
std::optional<std::string> plan_memory(hypervisor::Domain& domain, const BackupOptions& options,
                                       const std::string& job_id, PreparedBackup& prepared);

// Takes as long as the memory is large; ended by a stop, by silence of libvirt's, and when the room for it runs out.
hypervisor::SnapshotReport take_with_memory(hypervisor::Snapshot& snapshot, const PreparedBackup& prepared,
                                            const BackupOptions& options, const JobContext& context);

}  // namespace icecore::job
