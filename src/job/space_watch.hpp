// SPDX-License-Identifier: Apache-2.0
// Ends a backup before the guest's overlay fills its file system: a full one would pause the guest.
#pragma once

#include <filesystem>
#include <string>

#include "base/clock.hpp"

namespace icecore::job {

// One thread at a time.
class SpaceWatch {
 public:
  // `share_min` of the file system that holds `overlay` must stay free, 0 to 1.
  SpaceWatch(std::filesystem::path overlay, double share_min) : overlay_(std::move(overlay)), share_min_(share_min) {}

  // Looks at most twice a second. Throws Fault::no_space when less than the share is free.
  void check();

 private:
  std::filesystem::path overlay_;
  double share_min_;
  base::Stopwatch since_check_;
};

}  // namespace icecore::job
