// SPDX-License-Identifier: Apache-2.0
// Restoring the points of one instant together.
#pragma once

#include <vector>

#include "cli/job_session.hpp"
#include "cli/known_groups.hpp"
#include "cli/readable_points.hpp"
#include "job/restore.hpp"

namespace icecore::cli {

// The group that `name` means: its id, or that of one of its points, or any other name of one. Fault::usage when that
// point is in no group.
repository::ManifestGroup group_named(const ReadablePoints& points, const std::vector<KnownGroup>& groups,
                                      const std::string& name);

// Restores all points of the group, in its order. What any of them lacks is found
// before the first is written; with options.start all are started when all are there. One that fails later leaves
// those before it restored, and the error says which.
// Fault::usage when an option means one domain only; not_found, naming them, when points of it are not there.
std::vector<job::RestoreReport> restore_group(JobSession& jobs, repository::Repository& repository,
                                              const ReadablePoints& points, const repository::ManifestGroup& group,
                                              const job::RestoreOptions& options);

}  // namespace icecore::cli
