// SPDX-License-Identifier: Apache-2.0
// The last step of a backup that was cut short once its point was sealed: the point is published after all.
#pragma once

#include <string>

#include "job/backup_plan.hpp"
#include "job/journal.hpp"
#include "job/recover.hpp"

namespace icecore::job {

bool is_published(JobState state) noexcept;

// For people: "publish restore point 0123abcd".
std::string describe_publication(const JobRecord& record);

// Takes the job from wherever it is behind `sealed` to done, and tells what was done. Left open, with a problem that
// says so, when the repository cannot be opened here or another one is there; ended without a point when the blocks it
// needs are gone for good. Faults as repository::publish(), when a later attempt may succeed.
void publish_sealed(Journal& journal, const OpenRepository& open_repository, JobRecord& record, const BackupPlan& plan,
                    RecoveredJob& result);

// The same for a job whose disks could not be put back, and which stays open for that: told in its plan.
void publish_unsettled(Journal& journal, const OpenRepository& open_repository, JobRecord& record, BackupPlan& plan,
                       RecoveredJob& result);

}  // namespace icecore::job
