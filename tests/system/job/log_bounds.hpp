// SPDX-License-Identifier: Apache-2.0
// What a guest's log, written while it is backed up, must hold in the point: an unbroken prefix with all that was
// synced before the freeze and nothing that was written after the thaw.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "rig/guest.hpp"
#include "rig/icecore_run.hpp"

namespace icecore::system_test {

// How many records.
struct Bounds {
  std::uint64_t least = 0;
  std::uint64_t most = 0;
};

inline void wait_for_records(rig::Guest& guest, std::uint64_t count) {
  const base::Stopwatch watch;
  while (guest.check_log().records < count) ASSERT_LT(watch.elapsed(), std::chrono::minutes(2));
}

// The last one may be on its way to the disk.
inline std::uint64_t synced_records(rig::Guest& guest) { return guest.check_log().records - 1; }

// Of a backup that pauses right before the first freeze and right after the last thaw: the guests, which write on, are
// asked at both.
inline std::vector<Bounds> bounds_around(rig::IcecoreRun& backup, const std::vector<rig::Guest*>& guests) {
  std::vector<Bounds> bounds;
  backup.wait_failpoint();
  for (rig::Guest* guest : guests) bounds.push_back({.least = synced_records(*guest)});
  backup.go_on();
  backup.wait_failpoint();
  for (std::size_t i = 0; i < guests.size(); ++i) bounds[i].most = guests[i]->check_log().records;
  backup.go_on();
  return bounds;
}

inline void expect_log(const rig::ChainState& log, Bounds bounds) {
  EXPECT_TRUE(log.unbroken);
  EXPECT_GE(log.records, bounds.least);
  EXPECT_LE(log.records, bounds.most);
}

// And the file system of the restored image needs no repair.
inline void expect_quiesced_log(const std::filesystem::path& image, const std::string& format, Bounds bounds) {
  SCOPED_TRACE(image);
  EXPECT_TRUE(rig::file_system_is_clean(image, format));
  expect_log(rig::read_log(image, format), bounds);
}

}  // namespace icecore::system_test
