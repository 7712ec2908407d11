// SPDX-License-Identifier: Apache-2.0
// Ranges of a disk as its guest sees it.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>

namespace icecore::disk {

struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint64_t end() const noexcept { return offset + length; }
  auto operator<=>(const Extent&) const = default;
};

// A range that holds data, and where the bytes lie unchanged in a file of the chain, if they do.
struct DataExtent {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  int layer = k_not_plain;        // index into the chain, 0 = top
  std::uint64_t file_offset = 0;  // in that layer's file

  static constexpr int k_not_plain = -1;  // compressed or otherwise encoded: only QEMU can read it
  std::uint64_t end() const noexcept { return offset + length; }
  auto operator<=>(const DataExtent&) const = default;
};

// The data extents of a disk in ascending order, one at a time: a fragmented 1 TiB disk has millions.
class ExtentStream {
 public:
  virtual ~ExtentStream() = default;
  // Nothing at the end of the disk. Throws Fault::cancelled on stop.
  virtual std::optional<DataExtent> next(const std::stop_token& stop) = 0;
};

}  // namespace icecore::disk
