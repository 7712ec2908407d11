// SPDX-License-Identifier: Apache-2.0
#include "job/merge_rounds.hpp"

#include "base/error.hpp"

namespace icecore::job {

using base::Fault;

void merge_in_rounds(std::string_view images, const std::function<bool()>& round) {
  constexpr int k_rounds_max = 10;
  for (int rounds = 0; rounds < k_rounds_max; ++rounds) {
    if (round()) return;
  }
  base::fail(Fault::conflict, "the domain keeps starting and stopping while its {} are merged", images);
}

bool merge_unless_in_use(hypervisor::Connection& connection, const std::function<void()>& merge, std::stop_token stop) {
  constexpr base::Milliseconds k_pause(500);
  try {
    merge();
    return true;
  } catch (const base::Error& error) {
    if (error.fault() != Fault::busy) throw;
    connection.wait_for_event(k_pause, stop);
    return false;
  }
}

}  // namespace icecore::job
