// SPDX-License-Identifier: Apache-2.0
#include "storage/backoff.hpp"

#include <algorithm>

namespace icecore::storage {

std::optional<base::Milliseconds> Backoff::next(base::Milliseconds elapsed) {
  const base::Milliseconds pause(
      std::uniform_int_distribution<base::Milliseconds::rep>(step_.count() / 2, step_.count())(random_));
  if (elapsed + pause > settings_.give_up_after) return std::nullopt;
  step_ = std::min(step_ * 2, settings_.longest);
  return pause;
}

}  // namespace icecore::storage
