// SPDX-License-Identifier: Apache-2.0
// How long an SSH server is waited for. Once somebody asks to stop it must show that it lives within `parting`: then it
// can still be told what must be told it (a lock's end), and nothing is tried again.
#pragma once

#include <algorithm>
#include <stop_token>

#include "base/clock.hpp"

namespace icecore::storage {

struct SshDeadlines {
  base::Milliseconds connect{15'000};         // for the host's addresses, and for each of them
  base::Milliseconds login{60'000};           // handshake, host key, authentication, start of the service
  base::Milliseconds silence{30'000};         // nothing was heard, not even an answer to a keepalive
  base::Milliseconds answer{600'000};         // the server lives, but its service neither takes nor sends a byte
  base::Milliseconds keepalive{10'000};       // of silence, then the server is asked whether it lives
  base::Milliseconds parting{1'000};          // the most of any of these after a stop,
  base::Milliseconds parting_answer{10'000};  // but for a service whose server lives
  std::stop_token stop = {};

  // One of the above as it counts now.
  base::Milliseconds now(base::Milliseconds deadline) const noexcept {
    return stop.stop_requested() ? std::min(deadline, parting) : deadline;
  }
};

// No wait looks away from its deadline and the stop for longer.
constexpr base::Milliseconds k_look_again{200};

}  // namespace icecore::storage
