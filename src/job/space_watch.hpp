// SPDX-License-Identifier: Apache-2.0
// Ends a backup before the guest's overlays fill their file systems, which would pause the guest, or have grown for too
// long: all they hold must be merged back, and that needs room too.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"

namespace icecore::job {

// What grows while the backup goes on.
struct WatchedFile {
  std::filesystem::path file;
  std::filesystem::path base;   // what it is merged into at the end; empty: nothing
  std::uint64_t base_size = 0;  // bytes of the disk
};

// What the base may grow by when `watched` is merged into it, in bytes: all the overlay holds, but no more than the
// base does not hold yet. None where the base is a device, or one of the files is not there.
std::uint64_t growth_of_base(const WatchedFile& watched);

// Fault::no_space when the file system of the base may not have the room to merge a layer into it and keep `share_min`
// of it free, 0 to 1.
void require_room_to_merge(const std::string& domain, const std::string& target, const WatchedFile& layer,
                           double share_min);

// One thread at a time.
class SpaceWatch {
 public:
  // `share_min` of each file system that holds one of the files must stay free, 0 to 1, beside what the bases on it may
  // grow by. They age from now on.
  SpaceWatch(std::vector<WatchedFile> files, double share_min, base::Milliseconds age_max)
      : files_(std::move(files)), share_min_(share_min), age_max_(age_max) {}

  // Looks when first asked, then at most twice a second. Throws Fault::no_space when there is less room,
  // Fault::unavailable when the files are too old.
  void check();

 private:
  std::vector<WatchedFile> files_;
  double share_min_;
  base::Milliseconds age_max_;
  base::Stopwatch age_;
  std::optional<base::Stopwatch> since_check_;
};

}  // namespace icecore::job
