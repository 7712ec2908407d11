// SPDX-License-Identifier: Apache-2.0
#include "memory/window_source.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "disk/window_planner.hpp"

namespace icecore::memory {

namespace {

class OneExtent final : public disk::ExtentStream {
 public:
  explicit OneExtent(std::uint64_t length) : length_(length) {}
  std::optional<disk::DataExtent> next(const std::stop_token&) override {
    if (length_ == 0) return std::nullopt;
    return disk::DataExtent{.offset = 0, .length = std::exchange(length_, 0)};
  }

 private:
  std::uint64_t length_;
};

}  // namespace

WindowSource::WindowSource(std::uint64_t size, std::size_t block_size, Read read)
    : DiskSource(size, {.image = {}, .format = {}, .nbd_uri = {}, .block_size = block_size}), read_(std::move(read)) {}

std::unique_ptr<disk::ExtentStream> WindowSource::extents() { return std::make_unique<OneExtent>(size_); }

void WindowSource::start(std::span<const disk::Extent> wanted) {
  if (!wanted.empty()) base::fail(base::Fault::internal, "memory is read as a whole");
  next_index_ = 0;
}

std::optional<disk::Chunk> WindowSource::next(const std::stop_token& stop) {
  if (stop.stop_requested()) base::fail(base::Fault::cancelled, "reading the memory was interrupted");
  disk::Chunk chunk{.block_size = block_size_, .buffer = pool_.take()};
  if (!chunk.buffer) return std::nullopt;
  {
    const std::lock_guard lock(mutex_);
    chunk.offset = next_index_ * disk::k_window_bytes;
    if (chunk.offset >= size_) return std::nullopt;
    chunk.index = next_index_++;
  }
  chunk.length = static_cast<std::size_t>(std::min<std::uint64_t>(disk::k_window_bytes, size_ - chunk.offset));
  chunk.data_mask = read_(chunk.offset, chunk.buffer.first(chunk.length));
  const std::size_t blocks = chunk.block_count();
  if (blocks < 64) chunk.data_mask &= (std::uint64_t{1} << blocks) - 1;
  return chunk;
}

}  // namespace icecore::memory
