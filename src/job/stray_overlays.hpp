// SPDX-License-Identifier: Apache-2.0
// Overlays that carry our names but no journal knows: what a lost state folder leaves. One that an open job has is that
// job's: its plan knows the images as they were, and a plan made afresh would take whatever lies there now.
#pragma once

#include "hypervisor/domain.hpp"
#include "job/backup_plan.hpp"
#include "job/journal.hpp"

namespace icecore::job {

// A plan for the disks of this domain that are on overlays with our names, of which the journal has no open job;
// without disks: there are none. Kept layers are no leftovers. `journal`: null when there is none.
BackupPlan stray_plan(hypervisor::Domain& domain, Journal* journal);

}  // namespace icecore::job
