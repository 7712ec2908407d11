// SPDX-License-Identifier: Apache-2.0
// What a persistent dirty bitmap of a frozen qcow2 image marks as written since the bitmap was made.
#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "disk/extent.hpp"
#include "disk/image.hpp"

namespace icecore::disk {

// Why the image's bitmap of that name does not tell what was written: missing, inconsistent (QEMU was killed), not
// recording. Empty: it does. Only of an image no QEMU writes to: the bitmap of one in use says nothing yet.
std::string bitmap_problem(const ImageInfo& image, const std::string& bitmap);

// Extents in ascending order that grow into coarser ones when they would be too many: always all that was added,
// perhaps more.
class DirtyExtents {
 public:
  // Extents are widened to whole blocks of `block_size`, the last one cut at `disk_size`.
  DirtyExtents(std::uint64_t disk_size, std::uint64_t block_size, std::size_t count_max = k_count_max);

  // `extent` begins behind the one before it, and is not empty.
  void add(Extent extent);
  std::vector<Extent> take() { return std::move(extents_); }

  static constexpr std::size_t k_count_max = 256 * 1024;  // 16 bytes each

 private:
  void coarsen();

  std::uint64_t disk_size_;
  std::uint64_t block_size_;
  std::size_t count_max_;
  std::uint64_t gap_max_ = 0;  // a gap that long is swallowed
  std::vector<Extent> extents_;
};

// Reads it through qemu-nbd; a running domain may hold the image open for reading. Throws Fault::unavailable,
// conflict (no such bitmap, or an inconsistent one), cancelled.
std::vector<Extent> read_dirty_bitmap(const ImageInfo& image, const std::string& bitmap, std::uint64_t block_size,
                                      const std::stop_token& stop);

// Takes bitmaps out of an image no QEMU has open; one that is not there is no error. Throws busy when one has.
void remove_bitmap(const ImageInfo& image, const std::string& bitmap);

// The bytes in all of them.
std::uint64_t total_bytes(const std::vector<Extent>& extents);

}  // namespace icecore::disk
