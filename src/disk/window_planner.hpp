// SPDX-License-Identifier: Apache-2.0
// Cuts a stream of data extents into aligned windows of 2 MiB: the unit of reading, hashing and framing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "base/bytes.hpp"
#include "disk/extent.hpp"

namespace icecore::disk {

constexpr std::size_t k_window_bytes = 2 * base::k_mib;

// What one window holds: pieces in ascending order, none empty, none overlapping. Never without pieces.
struct Window {
  std::uint64_t offset = 0;  // multiple of k_window_bytes
  std::size_t length = 0;    // k_window_bytes, less at the end of the disk
  std::vector<DataExtent> pieces;
};

// One thread at a time.
class WindowPlanner {
 public:
  // Only what lies in `wanted` (ascending, not overlapping; copied) is planned; empty means the whole disk.
  WindowPlanner(std::unique_ptr<ExtentStream> extents, std::uint64_t disk_size, std::span<const Extent> wanted);

  // The next window with data; nothing at the end. What is wanted and never planned reads as zeros.
  std::optional<Window> next(const std::stop_token& stop);

 private:
  std::optional<DataExtent> next_wanted(const std::stop_token& stop);
  void take_piece(Window& window);

  std::unique_ptr<ExtentStream> extents_;
  std::uint64_t disk_size_;
  std::vector<Extent> wanted_;
  std::size_t wanted_at_ = 0;
  std::optional<DataExtent> current_;  // of the stream, cut off in front as it is used up
  std::uint64_t current_end_ = 0;      // how far the stream has come
  std::optional<DataExtent> pending_;  // wanted part not yet in a window
};

// Bit i of the mask: block i of the window, block_size bytes each, is touched by a piece.
std::uint64_t data_mask_of(const Window& window, std::size_t block_size);

// Zeroes the bytes of masked blocks that no piece covers. `bytes` is the window's memory.
void zero_gaps(const Window& window, std::uint64_t data_mask, std::size_t block_size, base::ByteSpan bytes);

}  // namespace icecore::disk
