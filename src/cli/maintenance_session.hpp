// SPDX-License-Identifier: Apache-2.0
// What a command that maintains a repository adds to its session: signals, a progress display, and the watch made of
// both.
#pragma once

#include "cli/job_session.hpp"
#include "maintenance/watch.hpp"

namespace icecore::cli {

// Phases and bytes go to the display of `jobs`, which outlives the watch.
maintenance::Watch make_watch(JobSession& jobs);

// Where this host notes which packs it has read.
std::filesystem::path history_file(const Session& session, const repository::Repository& repository);

}  // namespace icecore::cli
