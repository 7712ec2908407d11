// SPDX-License-Identifier: Apache-2.0
// The guest's memory in a backup: whether and where to it is saved, and the snapshot that does it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "hypervisor/snapshot.hpp"
#include "job/backup.hpp"
#include "job/context.hpp"
#include "job/prepare_backup.hpp"

namespace icecore::job {

// Whether a domain's memory could be saved now, and what that takes.
struct MemoryFinding {
  std::filesystem::path folder;  // it goes to; empty: not known
  std::uint64_t needed_bytes = 0;
  std::uint64_t free_bytes = 0;        // in the folder
  std::uint64_t usable_bytes = 0;      // but for what stays free
  bool pauses = false;                 // the guest stands still meanwhile
  std::string note;                    // why it does unasked, or what it risks when it does not
  std::vector<std::string> blockers;   // of the domain, whatever its state
  std::optional<base::Error> refusal;  // of a backup that must have it: Fault::conflict, usage (not running), no_space
};

// `model` and `current_xml` are of the domain as it is. `folder`: of the first overlay, beside which it goes.
// `skipped`: the disks that are left out.
MemoryFinding look_at_memory(hypervisor::Domain& domain, const hypervisor::DomainModel& model,
                             const std::string& current_xml, const std::vector<repository::SkippedDisk>& skipped,
                             const std::filesystem::path& folder, const BackupOptions& options);

// What a backup that must have the memory of a domain in such a state ends with; nothing while it runs.
std::optional<base::Error> refuse_memory_of(const std::string& name, hypervisor::DomainState state);

// The note of a backup that was to have it, and goes without.
std::string without_memory(const std::string& reason);

// Sets the plan's memory file, and whether the guest stands still, when the options ask for the memory and it can be
// saved. Returns what a person should know of that, or why not when the options leave it at that; else throws the
// refusal.
std::optional<std::string> plan_memory(hypervisor::Domain& domain, const BackupOptions& options,
                                       const std::string& job_id, PreparedBackup& prepared);

// Takes as long as the memory is large; ended by a stop, by silence of libvirt's, and when the room for it runs out.
hypervisor::SnapshotReport take_with_memory(hypervisor::Snapshot& snapshot, const PreparedBackup& prepared,
                                            const BackupOptions& options, const JobContext& context);

}  // namespace icecore::job
