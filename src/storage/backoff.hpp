// SPDX-License-Identifier: Apache-2.0
// How long to wait before asking an absent server again: exponentially longer, with jitter, so that many hosts whose
// server comes back do not all call at once.
#pragma once

#include <optional>
#include <random>

#include "base/clock.hpp"

namespace icecore::storage {

struct BackoffSettings {
  base::Milliseconds first{500};
  base::Milliseconds longest{30'000};
  base::Milliseconds give_up_after{120'000};  // counted from the first failure
};

class Backoff {
 public:
  explicit Backoff(const BackoffSettings& settings) : settings_(settings), step_(settings.first) {}

  // The next pause, between half a step and a whole one, or nothing when it would end too late. `elapsed` is the
  // time since the first failure.
  std::optional<base::Milliseconds> next(base::Milliseconds elapsed);

 private:
  BackoffSettings settings_;
  base::Milliseconds step_;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace icecore::storage
