// SPDX-License-Identifier: Apache-2.0
// Ends a backup before the guest's overlay fills its file system, which would pause the guest, or has grown for too
// long: all it holds must be merged back.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/clock.hpp"

namespace icecore::job {

// One thread at a time.
class SpaceWatch {
 public:
  // `share_min` of the file system that holds `overlay` must stay free, 0 to 1. It ages from now on.
  SpaceWatch(std::filesystem::path overlay, double share_min, base::Milliseconds age_max)
      : overlay_(std::move(overlay)), share_min_(share_min), age_max_(age_max) {}

  // Looks when first asked, then at most twice a second. Throws Fault::no_space when less than the share is free,
  // Fault::unavailable when the overlay is too old.
  void check();

 private:
  std::filesystem::path overlay_;
  double share_min_;
  base::Milliseconds age_max_;
  base::Stopwatch age_;
  std::optional<base::Stopwatch> since_check_;
};

}  // namespace icecore::job
