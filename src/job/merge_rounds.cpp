// SPDX-License-Identifier: Apache-2.0
#include "job/merge_rounds.hpp"

namespace icecore::job {

using base::Fault;

void MergeRounds::run(std::string_view images, const std::function<bool()>& round) {
  constexpr int k_rounds_max = 10;
  for (int rounds = 0; rounds < k_rounds_max; ++rounds) {
    in_use_.reset();
    if (round()) return;
  }
  if (in_use_) throw base::Error(*in_use_);
  base::fail(Fault::conflict, "the domain keeps starting and stopping while its {} are merged", images);
}

bool MergeRounds::merge_unless_in_use(const std::function<void()>& merge) {
  constexpr base::Milliseconds k_pause(500);
  try {
    merge();
    return true;
  } catch (const base::Error& error) {
    if (error.fault() != Fault::busy) throw;
    in_use_ = error;
    connection_.wait_for_event(k_pause, stop_);
    return false;
  }
}

}  // namespace icecore::job
