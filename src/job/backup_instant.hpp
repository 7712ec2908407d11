// SPDX-License-Identifier: Apache-2.0
// The instant of a point: frozen, snapshotted, thawed.
#pragma once

#include <functional>

#include "hypervisor/domain.hpp"
#include "job/backup.hpp"
#include "job/backup_manifest.hpp"
#include "job/job_notes.hpp"
#include "job/job_steps.hpp"
#include "job/prepare_backup.hpp"

namespace icecore::job {

// Leaves the guest thawed and writing to the overlays of the plan, the job in state `thawed`. On failure the guest is
// thawed too, and the disks stand wherever the journal's last fact says: return_to_bases() is next.
// Fault::unavailable when `options` require a freeze that did not work or did not last.
// `meet` is called when all is ready, when the guest is frozen and when the snapshot is taken: in a group it waits for
// the others there, and throws when one of them cannot go on. Empty: there are no others. Else these stand frozen while
// this guest's agent is waited for, which has half of the freeze limit, or 5 s when none is given.
InstantFacts take_instant(hypervisor::Domain& domain, const PreparedBackup& prepared, const BackupOptions& options,
                          const JobContext& context, JobSteps& steps, JobNotes& notes,
                          const std::function<void()>& meet);

}  // namespace icecore::job
