// SPDX-License-Identifier: Apache-2.0
#include "disk/zero_runs.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace icecore::disk {
namespace {

using Runs = std::vector<std::pair<std::uint64_t, std::size_t>>;

Runs runs(std::uint64_t offset, base::ByteView bytes, std::size_t grain) {
  Runs found;
  for_each_nonzero_run(offset, bytes, grain,
                       [&](std::uint64_t at, base::ByteView run) { found.emplace_back(at, run.size()); });
  return found;
}

TEST(ZeroRuns, WritesNothingForZeros) { EXPECT_EQ(runs(0, base::Bytes(20000), 4096), Runs{}); }

TEST(ZeroRuns, WritesAllWhenEveryGrainHoldsSomething) {
  base::Bytes bytes(3 * 4096);
  bytes[0] = bytes[5000] = bytes[12287] = std::byte{1};
  EXPECT_EQ(runs(8192, bytes, 4096), (Runs{{8192, 12288}}));
}

TEST(ZeroRuns, SkipsZeroGrainsAlignedToTheDisk) {
  base::Bytes bytes(16384, std::byte{1});
  std::fill(bytes.begin() + 4096, bytes.begin() + 8192, std::byte{0});
  EXPECT_EQ(runs(0, bytes, 4096), (Runs{{0, 4096}, {8192, 8192}}));
  // The same zeros, shifted against the grain of the disk, save nothing.
  EXPECT_EQ(runs(100, bytes, 4096), (Runs{{100, 16384}}));
}

TEST(ZeroRuns, HandlesPartialFirstAndLastGrains) {
  base::Bytes bytes(5000);
  bytes[4999] = std::byte{1};
  EXPECT_EQ(runs(4000, bytes, 4096), (Runs{{8192, 808}}));
}

}  // namespace
}  // namespace icecore::disk
