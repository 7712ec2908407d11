// SPDX-License-Identifier: Apache-2.0
// Restoring the points of one instant together.
#pragma once

#include <vector>

#include "cli/job_session.hpp"
#include "cli/readable_points.hpp"
#include "job/restore.hpp"

namespace icecore::cli {

// Restores all points of the group that `point` belongs to, in the group's order. What any of them lacks is found
// before the first is written; with options.start all are started when all are there. One that fails later leaves
// those before it restored, and the error says which.
// Fault::usage when `point` is in no group or an option means one domain only; not_found when a point of it is gone.
std::vector<job::RestoreReport> restore_group(JobSession& jobs, repository::Repository& repository,
                                              const ReadablePoints& points, const repository::Manifest& point,
                                              const job::RestoreOptions& options);

}  // namespace icecore::cli
