// SPDX-License-Identifier: Apache-2.0
#include "disk/direct_source.hpp"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <cstring>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "disk/image_map.hpp"
#include "disk/nbd_source.hpp"

namespace icecore::disk {

namespace {

using base::Fault;

// Windows planned together: the lock is taken and the map parsed less often.
constexpr std::size_t k_windows_ahead = 8;
// QEMU rounds a raw file's size up to this; the bytes beyond its end read as zeros.
constexpr std::size_t k_sector = 512;

// What O_DIRECT asks of offset, length and memory.
bool is_aligned(std::uint64_t value) {
  constexpr std::uint64_t k_page = 4096;
  return value % k_page == 0;
}

class KnownExtents final : public ExtentStream {
 public:
  // The list outlives the stream.
  explicit KnownExtents(std::span<const DataExtent> rest) : rest_(rest) {}

  std::optional<DataExtent> next(const std::stop_token&) override {
    if (rest_.empty()) return std::nullopt;
    const DataExtent extent = rest_.front();
    rest_ = rest_.subspan(1);
    return extent;
  }

 private:
  std::span<const DataExtent> rest_;
};

}  // namespace

DirectSource::DirectSource(const SourceOptions& options, std::vector<ImageInfo> chain, std::vector<DataExtent> known,
                           bool has_encoded)
    : DiskSource(chain.front().virtual_size, options), options_(options), known_extents_(std::move(known)) {
  for (ImageInfo& layer : chain) {
    base::Fd file = base::open_file(layer.path, O_RDONLY);
    base::Fd uncached(::open(layer.path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
    layers_.push_back({std::move(layer.path), std::move(file), std::move(uncached)});
  }
  if (has_encoded) nbd_ = std::make_unique<NbdReader>(options_);
}

DirectSource::~DirectSource() = default;

std::unique_ptr<ExtentStream> DirectSource::extents() {
  if (!known_extents_.empty()) return std::make_unique<KnownExtents>(known_extents_);
  return std::make_unique<ImageMap>(options_.image, options_.format);
}

void DirectSource::start(std::span<const Extent> wanted) {
  const std::lock_guard lock(plan_mutex_);
  planner_ = std::make_unique<WindowPlanner>(extents(), size_, wanted);
  ahead_.clear();
  ahead_at_ = 0;
  next_index_ = 0;
}

// The buffer comes first: whoever waits for one holds no window, so chunks are handed out in order.
std::optional<Chunk> DirectSource::next(const std::stop_token& stop) {
  if (stop.stop_requested()) base::fail(Fault::cancelled, "reading '{}' was interrupted", options_.image.string());
  Chunk chunk{.block_size = block_size_, .buffer = pool_.take()};
  if (!chunk.buffer) return std::nullopt;
  const std::optional<PlannedWindow> planned = plan(chunk.index, stop);
  if (!planned) return std::nullopt;
  const Window& window = planned->window;
  chunk.offset = window.offset;
  chunk.length = window.length;
  chunk.data_mask = data_mask_of(window, block_size_);
  const base::ByteSpan bytes = chunk.buffer.first(chunk.length);
  for (const DataExtent& piece : window.pieces) {
    read_piece(piece, planned->cold, bytes.subspan(piece.offset - window.offset, piece.length), stop);
  }
  zero_gaps(window, chunk.data_mask, block_size_, bytes);
  return chunk;
}

std::optional<DirectSource::PlannedWindow> DirectSource::plan(std::uint64_t& index, const std::stop_token& stop) {
  const std::lock_guard lock(plan_mutex_);
  assert(planner_ && "start() comes before next()");
  if (ahead_at_ == ahead_.size()) {
    ahead_.clear();
    ahead_at_ = 0;
    while (ahead_.size() < k_windows_ahead) {
      auto window = planner_->next(stop);
      if (!window) break;
      const bool cold = is_cold(*window);
      ahead_.push_back({std::move(*window), cold});
    }
  }
  if (ahead_.empty()) return std::nullopt;
  index = next_index_++;
  return std::move(ahead_[ahead_at_++]);
}

// Asks with a read that must not wait. What the page cache has is cheapest from there; the rest goes past it,
// so that a backup does not push out what the host's guests use. The last byte, because reading the window
// before may have made the kernel read a little ahead.
bool DirectSource::is_cold(const Window& window) const {
  for (const DataExtent& piece : window.pieces) {
    if (piece.layer == DataExtent::k_not_plain) continue;
    std::byte probe{};
    const iovec out{&probe, sizeof(probe)};
    const ssize_t count = ::preadv2(layers_.at(static_cast<std::size_t>(piece.layer)).file.get(), &out, 1,
                                    static_cast<off_t>(piece.file_offset + piece.length - 1), RWF_NOWAIT);
    return count < 0 && errno == EAGAIN;
  }
  return false;
}

void DirectSource::read_piece(const DataExtent& piece, bool cold, base::ByteSpan out, const std::stop_token& stop) {
  if (piece.layer == DataExtent::k_not_plain) return read_encoded(piece, out, stop);
  const Layer& layer = layers_.at(static_cast<std::size_t>(piece.layer));
  const bool aligned = is_aligned(piece.file_offset) && is_aligned(out.size()) &&
                       is_aligned(reinterpret_cast<std::uintptr_t>(out.data()));
  bool past_cache = cold && aligned && layer.uncached;
  std::size_t done = 0;
  while (done < out.size()) {
    const int fd = past_cache ? layer.uncached.get() : layer.file.get();
    const ssize_t count =
        ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(piece.file_offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EINVAL && past_cache) {
      past_cache = false;  // stricter than we thought, or a short read left an odd rest
      continue;
    }
    if (count < 0) {
      base::fail_errno(errno, fmt::format("read '{}' at {}", layer.path.string(), piece.file_offset + done));
    }
    if (count == 0 && out.size() - done >= k_sector) {
      base::fail(Fault::conflict, "image '{}' ends at {}, though its map reaches further: it was cut while being read",
                 layer.path.string(), piece.file_offset + done);
    }
    if (count == 0) return static_cast<void>(std::memset(out.data() + done, 0, out.size() - done));
    done += static_cast<std::size_t>(count);
  }
}

void DirectSource::read_encoded(const DataExtent& piece, base::ByteSpan out, const std::stop_token& stop) {
  const std::lock_guard lock(nbd_mutex_);
  if (!nbd_) base::fail(Fault::conflict, "the map of '{}' changed while it was being read", options_.image.string());
  nbd_->read(piece.offset, out, stop);
}

}  // namespace icecore::disk
