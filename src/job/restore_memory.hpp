// SPDX-License-Identifier: Apache-2.0
// The memory of a restore point on its way back: written as a file that libvirt resumes the domain from, once its disks
// are in place. The file is the restore's own and goes with its end, whatever that is.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>

#include "job/restore_plan.hpp"
#include "repository/damage_mark.hpp"

namespace icecore::job {

// Sets the plan's memory file when the point has a memory and the options want it. Refuses what libvirt or the guest
// would not bear (Fault::usage: another name, not all disks; no_space), with the way out in the hint. `otherwise`: a
// folder for the file when no disk lies in one.
void plan_restored_memory(PreparedRestore& prepared, const repository::Manifest& manifest,
                          const RestoreOptions& options, const std::filesystem::path& otherwise,
                          const std::string& job_id);

// What keeps this host from going on with the memory, as planned; nothing when it is not restored.
std::vector<hypervisor::Finding> memory_findings(hypervisor::Connection& connection, const PreparedRestore& prepared,
                                                 const repository::Manifest& manifest);

// Writes the plan's memory file and proves it. Fault::corrupt when blocks of the memory are lost.
void write_memory(repository::Repository& repository, const repository::Manifest& manifest, const RestorePlan& plan,
                  const std::optional<repository::DamageMark>& damage,
                  const std::function<void(std::uint64_t)>& on_write, const std::stop_token& stop);

// Starts the domain, which is defined, from the file. What goes wrong leaves it shut off.
void resume_from_memory(hypervisor::Connection& connection, const RestorePlan& plan, const RestoreOptions& options);

void remove_memory_file(const RestorePlan& plan);

}  // namespace icecore::job
