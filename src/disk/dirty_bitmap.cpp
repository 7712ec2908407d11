// SPDX-License-Identifier: Apache-2.0
#include "disk/dirty_bitmap.hpp"

#include <algorithm>
#include <cassert>
#include <numeric>

#include "base/error.hpp"
#include "disk/nbd_connection.hpp"
#include "disk/nbd_server.hpp"
#include "disk/qemu_img.hpp"

namespace icecore::disk {

using base::Fault;

namespace {

// Of disk asked about at once; NBD counts lengths in 32 bits.
constexpr std::uint64_t k_status_slice = 2 * base::k_gib;

const ImageBitmap* find_bitmap(const ImageInfo& image, const std::string& name) {
  const auto found = std::find_if(image.bitmaps.begin(), image.bitmaps.end(),
                                  [&](const ImageBitmap& bitmap) { return bitmap.name == name; });
  return found == image.bitmaps.end() ? nullptr : &*found;
}

NbdConnection connect(NbdServer& server, const std::string& bitmap, const std::stop_token& stop) {
  try {
    NbdConnection connection = NbdConnection::to_bitmap(server.socket(), bitmap, stop);
    server.forget_socket();
    return connection;
  } catch (const base::Error&) {
    server.explain_failure();
    throw;
  }
}

}  // namespace

std::string bitmap_problem(const ImageInfo& image, const std::string& bitmap) {
  const ImageBitmap* found = find_bitmap(image, bitmap);
  if (found == nullptr) return fmt::format("the bitmap '{}' is gone from the image", bitmap);
  if (found->in_use)
    return fmt::format("the bitmap '{}' is inconsistent: QEMU was killed or the host went down", bitmap);
  if (!found->recording) return fmt::format("the bitmap '{}' was switched off", bitmap);
  return "";
}

DirtyExtents::DirtyExtents(std::uint64_t disk_size, std::uint64_t block_size, std::size_t count_max)
    : disk_size_(disk_size), block_size_(block_size), count_max_(std::max<std::size_t>(count_max, 2)) {}

void DirtyExtents::add(Extent extent) {
  const std::uint64_t from = extent.offset / block_size_ * block_size_;
  const std::uint64_t to = std::min((extent.end() + block_size_ - 1) / block_size_ * block_size_, disk_size_);
  if (from >= to) return;
  if (!extents_.empty() && from <= extents_.back().end() + gap_max_) {
    Extent& last = extents_.back();
    assert(from >= last.offset);
    last.length = std::max(last.end(), to) - last.offset;
    return;
  }
  if (extents_.size() == count_max_) coarsen();
  extents_.push_back({from, to - from});
}

// Swallows ever longer gaps until half of the extents are gone.
void DirtyExtents::coarsen() {
  while (extents_.size() > count_max_ / 2) {
    gap_max_ = std::max(block_size_, gap_max_ * 2);
    std::size_t kept = 0;
    for (std::size_t i = 1; i < extents_.size(); ++i) {
      if (extents_[i].offset <= extents_[kept].end() + gap_max_) {
        extents_[kept].length = extents_[i].end() - extents_[kept].offset;
      } else {
        extents_[++kept] = extents_[i];
      }
    }
    extents_.resize(kept + 1);
  }
}

std::vector<Extent> read_dirty_bitmap(const ImageInfo& image, const std::string& bitmap, std::uint64_t block_size,
                                      const std::stop_token& stop) {
  NbdServer server({.image = image.path, .format = image.format, .bitmap = bitmap});
  NbdConnection connection = connect(server, bitmap, stop);
  const std::uint64_t size = connection.size();
  DirtyExtents dirty(size, block_size);
  for (std::uint64_t at = 0; at < size;) {
    for (const BitmapStatus& status : connection.bitmap_status(at, std::min(k_status_slice, size - at), stop)) {
      const std::uint64_t length = std::min<std::uint64_t>(status.length, size - at);
      if (status.dirty && length > 0) dirty.add({at, length});
      at += length;
    }
  }
  return dirty.take();
}

void remove_bitmap(const ImageInfo& image, const std::string& bitmap) {
  if (find_bitmap(image, bitmap) == nullptr) return;
  qemu_img({"bitmap", "--remove", "-f", image.format, qemu_path(image.path), bitmap},
           fmt::format("remove the bitmap '{}' from '{}'", bitmap, image.path.string()));
}

std::uint64_t total_bytes(const std::vector<Extent>& extents) {
  return std::accumulate(extents.begin(), extents.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const Extent& extent) { return sum + extent.length; });
}

}  // namespace icecore::disk
