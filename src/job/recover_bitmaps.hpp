// SPDX-License-Identifier: Apache-2.0
// Puts back what a process that was killed beside libvirt's checkpoint calls leaves: a checkpoint that libvirt still
// knows, which keeps it from undefining the domain, and the bitmap of a point there will never be.
#pragma once

#include <string>
#include <vector>

#include "hypervisor/domain.hpp"
#include "job/backup_plan.hpp"

namespace icecore::job {

// The name of the plan's bitmaps; empty: it makes none.
std::string bitmap_of(const BackupPlan& plan);
std::vector<std::string> targets_with_bitmap(const BackupPlan& plan);

// The checkpoints whose names begin so that libvirt knows. Reads only.
std::vector<std::string> checkpoints_of_ours(hypervisor::Domain& domain, const std::string& prefix);

// Lets libvirt forget them, their bitmaps stay. Returns what was done, or with `dry_run` would be. What fails is a part
// of that: it stands in nobody's way for long, since the next backup tries again. Throws what stops the process.
std::vector<std::string> forget_checkpoints(hypervisor::Domain& domain, const std::string& prefix, bool dry_run);

// The same for the plan of a job that ended without a point; and takes its bitmaps, which nothing will count from, out
// of the images while the domain runs. Else they stay: the next point removes them.
std::vector<std::string> give_bitmaps_up(hypervisor::Domain& domain, const BackupPlan& plan, bool dry_run);

}  // namespace icecore::job
