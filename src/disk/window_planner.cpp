// SPDX-License-Identifier: Apache-2.0
#include "disk/window_planner.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/error.hpp"

namespace icecore::disk {

namespace {

// The part of the extent inside [from, to), which must overlap it.
DataExtent clip(DataExtent extent, std::uint64_t from, std::uint64_t to) {
  const std::uint64_t skip = from > extent.offset ? from - extent.offset : 0;
  extent.length = std::min(extent.end(), to) - (extent.offset + skip);
  extent.offset += skip;
  extent.file_offset += skip;
  return extent;
}

// Cuts off everything before `from`; false when nothing is left.
bool drop_before(DataExtent& extent, std::uint64_t from) {
  if (extent.end() <= from) return false;
  extent = clip(extent, from, extent.end());
  return true;
}

void zero(base::ByteSpan bytes, std::uint64_t from, std::uint64_t to) {
  if (from < to) std::memset(bytes.data() + from, 0, to - from);
}

}  // namespace

WindowPlanner::WindowPlanner(std::unique_ptr<ExtentStream> extents, std::uint64_t disk_size,
                             std::span<const Extent> wanted)
    : extents_(std::move(extents)), disk_size_(disk_size), wanted_(wanted.begin(), wanted.end()) {
  if (wanted_.empty()) wanted_.push_back({0, disk_size});
}

std::optional<Window> WindowPlanner::next(const std::stop_token& stop) {
  if (!pending_) pending_ = next_wanted(stop);
  if (!pending_) return std::nullopt;
  Window window{.offset = pending_->offset / k_window_bytes * k_window_bytes};
  window.length = static_cast<std::size_t>(std::min<std::uint64_t>(k_window_bytes, disk_size_ - window.offset));
  while (pending_ && pending_->offset < window.offset + window.length) {
    take_piece(window);
    if (!pending_) pending_ = next_wanted(stop);
  }
  return window;
}

void WindowPlanner::take_piece(Window& window) {
  const std::uint64_t window_end = window.offset + window.length;
  window.pieces.push_back(clip(*pending_, window.offset, window_end));
  if (!drop_before(*pending_, window_end)) pending_.reset();
}

// The next overlap of the stream with the wanted ranges.
std::optional<DataExtent> WindowPlanner::next_wanted(const std::stop_token& stop) {
  while (wanted_at_ < wanted_.size()) {
    if (!current_) {
      const std::uint64_t before = current_end_;
      current_ = extents_->next(stop);
      if (!current_) return std::nullopt;
      if (current_->length == 0 || current_->offset < before || current_->end() > disk_size_) {
        base::fail(base::Fault::internal, "the disk's extents are out of order at {}", current_->offset);
      }
      current_end_ = current_->end();
    }
    const Extent& range = wanted_[wanted_at_];
    if (range.end() <= current_->offset) {
      ++wanted_at_;
    } else if (!drop_before(*current_, range.offset)) {
      current_.reset();
    } else if (current_->offset < range.end()) {
      const DataExtent overlap = clip(*current_, range.offset, range.end());
      if (!drop_before(*current_, overlap.end())) current_.reset();
      return overlap;
    }
  }
  return std::nullopt;
}

std::uint64_t data_mask_of(const Window& window, std::size_t block_size) {
  std::uint64_t mask = 0;
  for (const DataExtent& piece : window.pieces) {
    const std::uint64_t first = (piece.offset - window.offset) / block_size;
    const std::uint64_t last = (piece.end() - 1 - window.offset) / block_size;
    for (std::uint64_t block = first; block <= last; ++block) mask |= std::uint64_t{1} << block;
  }
  return mask;
}

void zero_gaps(const Window& window, std::uint64_t data_mask, std::size_t block_size, base::ByteSpan bytes) {
  assert(bytes.size() >= window.length);
  std::size_t piece = 0;
  for (std::uint64_t from = 0; from < window.length; from += block_size) {
    if ((data_mask >> (from / block_size) & 1) == 0) continue;
    const std::uint64_t to = std::min<std::uint64_t>(from + block_size, window.length);
    std::uint64_t done = from;
    while (piece < window.pieces.size() && window.pieces[piece].end() - window.offset <= from) ++piece;
    for (std::size_t i = piece; i < window.pieces.size() && window.pieces[i].offset - window.offset < to; ++i) {
      const std::uint64_t piece_from = window.pieces[i].offset - window.offset;
      zero(bytes, done, std::min(piece_from, to));
      done = std::max(done, window.pieces[i].end() - window.offset);
    }
    zero(bytes, done, to);
  }
}

}  // namespace icecore::disk
