// SPDX-License-Identifier: Apache-2.0
// The states of a backup from which there is no way back.
#pragma once

#include <algorithm>
#include <array>

#include "job/journal.hpp"

namespace icecore::job {

inline constexpr std::array k_forwards = {JobState::sealed,    JobState::committing, JobState::committed,
                                          JobState::uploading, JobState::published,  JobState::done};

inline bool is_sealed(JobState state) {
  return std::find(k_forwards.begin(), k_forwards.end(), state) != k_forwards.end();
}

// The disks are where the job leaves them, and others may have moved them since.
inline bool is_committed(JobState state) {
  return is_sealed(state) && state != JobState::sealed && state != JobState::committing;
}

// Walks the states from where the job is to `target`, one fact each.
inline void advance(Journal& journal, JobRecord& record, JobState target) {
  auto at = std::find(k_forwards.begin(), k_forwards.end(), record.state);
  while (record.state != target && at != k_forwards.end() && ++at != k_forwards.end()) journal.reach(record, *at);
}

}  // namespace icecore::job
