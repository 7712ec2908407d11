// SPDX-License-Identifier: Apache-2.0
// The cutting of extents into windows, against a brute-force model.
#include "disk/window_planner.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <random>

#include "base/error.hpp"

namespace icecore::disk {
namespace {

constexpr std::uint64_t k_block = 64 * base::k_kib;

class ListedExtents final : public ExtentStream {
 public:
  explicit ListedExtents(std::deque<DataExtent> extents) : extents_(std::move(extents)) {}
  std::optional<DataExtent> next(const std::stop_token&) override {
    if (extents_.empty()) return std::nullopt;
    const DataExtent extent = extents_.front();
    extents_.pop_front();
    return extent;
  }

 private:
  std::deque<DataExtent> extents_;
};

std::vector<Window> plan(const std::deque<DataExtent>& extents, std::uint64_t size, std::vector<Extent> wanted = {}) {
  WindowPlanner planner(std::make_unique<ListedExtents>(extents), size, wanted);
  std::vector<Window> windows;
  while (auto window = planner.next({})) windows.push_back(std::move(*window));
  return windows;
}

TEST(WindowPlanner, CutsALongExtentAtWindowBoundaries) {
  const auto windows = plan({{k_window_bytes - 10, k_window_bytes + 20, 0, 5000}}, 16 * base::k_mib);
  ASSERT_EQ(windows.size(), 3U);
  EXPECT_EQ(windows[0].pieces, (std::vector<DataExtent>{{k_window_bytes - 10, 10, 0, 5000}}));
  EXPECT_EQ(windows[1].pieces, (std::vector<DataExtent>{{k_window_bytes, k_window_bytes, 0, 5010}}));
  EXPECT_EQ(windows[2].pieces, (std::vector<DataExtent>{{2 * k_window_bytes, 10, 0, 5010 + k_window_bytes}}));
}

TEST(WindowPlanner, GathersThePiecesOfOneWindowAndSkipsEmptyOnes) {
  const auto windows = plan({{0, 100}, {4096, 100}, {7 * base::k_mib, 1}}, 8 * base::k_mib);
  ASSERT_EQ(windows.size(), 2U);
  EXPECT_EQ(windows[0].pieces.size(), 2U);
  EXPECT_EQ(windows[1].offset, 6 * base::k_mib);
}

TEST(WindowPlanner, TheLastWindowEndsWithTheDisk) {
  const auto windows = plan({{0, k_window_bytes + 1000}}, k_window_bytes + 1000);
  ASSERT_EQ(windows.size(), 2U);
  EXPECT_EQ(windows[1].length, 1000U);
}

TEST(WindowPlanner, RefusesExtentsOutOfOrder) {
  EXPECT_THROW(plan({{100, 100}, {150, 100}}, base::k_mib), base::Error);
  EXPECT_THROW(plan({{0, 2 * base::k_mib}}, base::k_mib), base::Error);
}

TEST(WindowPlanner, AgreesWithABruteForceModel) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto below = [&](std::uint64_t limit) {
    return std::uniform_int_distribution<std::uint64_t>(0, limit - 1)(random);
  };
  constexpr std::uint64_t k_unit = 16 * base::k_kib;
  for (int round = 0; round < 200; ++round) {
    const std::uint64_t units = 1 + below(400);
    std::vector<bool> data(units);
    std::vector<bool> want(units);
    std::deque<DataExtent> extents;
    std::vector<Extent> wanted;
    for (std::uint64_t at = 0; at < units;) {
      const std::uint64_t length = std::min(1 + below(90), units - at);
      if (below(2) == 0) extents.push_back({at * k_unit, length * k_unit, 0, at * k_unit + 7});
      for (std::uint64_t i = at; i < at + length; ++i) data[i] = !extents.empty() && extents.back().end() > i * k_unit;
      at += length;
    }
    for (std::uint64_t at = 0; at < units;) {
      const std::uint64_t length = std::min(1 + below(90), units - at);
      if (below(3) != 0) wanted.push_back({at * k_unit, length * k_unit});
      for (std::uint64_t i = at; i < at + length; ++i) want[i] = !wanted.empty() && wanted.back().end() > i * k_unit;
      at += length;
    }
    if (wanted.empty()) want.assign(units, true);
    std::vector<bool> planned(units);
    std::uint64_t end = 0;
    for (const Window& window : plan(extents, units * k_unit, wanted)) {
      EXPECT_EQ(window.offset % k_window_bytes, 0U);
      for (const DataExtent& piece : window.pieces) {
        EXPECT_GE(piece.offset, std::max(end, window.offset));
        EXPECT_LE(piece.end(), window.offset + window.length);
        EXPECT_EQ(piece.file_offset, piece.offset + 7);
        end = piece.end();
        for (std::uint64_t i = piece.offset; i < piece.end(); i += k_unit) planned[i / k_unit] = true;
      }
    }
    for (std::uint64_t i = 0; i < units; ++i) ASSERT_EQ(planned[i], data[i] && want[i]) << "unit " << i;
  }
}

TEST(WindowPlanner, MasksAndZeroesAtTheGrainOfBlocks) {
  const Window window{.offset = base::k_mib,
                      .length = 3 * k_block + 100,
                      .pieces = {{base::k_mib + 10, 20},
                                 {base::k_mib + 40, 10},
                                 {base::k_mib + 2 * k_block - 5, 10},
                                 {base::k_mib + 3 * k_block + 50, 50}}};
  const std::uint64_t mask = data_mask_of(window, k_block);
  EXPECT_EQ(mask, 0b1111U);
  base::Bytes bytes(window.length, std::byte{0xff});
  zero_gaps(window, mask, k_block, bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bool covered = false;
    for (const DataExtent& piece : window.pieces) {
      covered |= i + base::k_mib >= piece.offset && i + base::k_mib < piece.end();
    }
    ASSERT_EQ(bytes[i], covered ? std::byte{0xff} : std::byte{0}) << i;
  }
}

TEST(WindowPlanner, LeavesBlocksWithoutDataAlone) {
  const Window window{.offset = 0, .length = base::k_mib, .pieces = {{2 * k_block, k_block}}};
  base::Bytes bytes(window.length, std::byte{0xff});
  const std::uint64_t mask = data_mask_of(window, k_block);
  zero_gaps(window, mask, k_block, bytes);
  EXPECT_EQ(mask, 0b100U);
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), std::byte{0}), 0);
}

}  // namespace
}  // namespace icecore::disk
