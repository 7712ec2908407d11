// SPDX-License-Identifier: Apache-2.0
// Overlays that carry our names but no journal knows: what a lost state folder leaves.
#pragma once

#include "hypervisor/domain.hpp"
#include "job/backup_plan.hpp"

namespace icecore::job {

// A plan for the disks of this domain that are on overlays with our names; without disks: there are none. Kept layers
// are no leftovers.
BackupPlan stray_plan(hypervisor::Domain& domain);

}  // namespace icecore::job
