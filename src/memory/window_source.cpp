// SPDX-License-Identifier: Apache-2.0
#include "memory/window_source.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/durable_file.hpp"
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

constexpr std::uint64_t k_all_blocks = ~0ULL;

void read_wholly(int fd, const std::string& path, std::uint64_t offset, base::ByteSpan out) {
  while (!out.empty()) {
    const ssize_t count = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) base::fail_errno(errno, fmt::format("read '{}' at {}", path, offset));
    if (count == 0) base::fail(base::Fault::conflict, "'{}' was cut while it was being read", path);
    offset += static_cast<std::uint64_t>(count);
    out = out.subspan(static_cast<std::size_t>(count));
  }
}

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

std::unique_ptr<disk::DiskSource> source_of(base::ByteView bytes, std::size_t block_size) {
  return std::make_unique<WindowSource>(bytes.size(), block_size, [bytes](std::uint64_t offset, base::ByteSpan out) {
    const base::ByteView from = bytes.subspan(offset, out.size());
    std::copy(from.begin(), from.end(), out.begin());
    return k_all_blocks;
  });
}

std::unique_ptr<disk::DiskSource> source_of(int fd, const std::string& path, std::size_t block_size) {
  return std::make_unique<WindowSource>(base::file_size(fd, path), block_size,
                                        [fd, path](std::uint64_t offset, base::ByteSpan out) {
                                          read_wholly(fd, path, offset, out);
                                          return k_all_blocks;
                                        });
}

}  // namespace icecore::memory
