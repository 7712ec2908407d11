// SPDX-License-Identifier: Apache-2.0
// Anything that can be read by offset, behind the face of a disk: so that what reads and stores disks does it for
// memory too. Everything counts as data until its windows are read.
#pragma once

#include <functional>
#include <mutex>

#include "disk/disk_source.hpp"

namespace icecore::memory {

class WindowSource final : public disk::DiskSource {
 public:
  // Fills the span with the bytes at the offset; bit i of the result: block i (block_size bytes) has data. Called by
  // any number of threads.
  using Read = std::function<std::uint64_t(std::uint64_t offset, base::ByteSpan out)>;
  WindowSource(std::uint64_t size, std::size_t block_size, Read read);

  std::unique_ptr<disk::ExtentStream> extents() override;
  void start(std::span<const disk::Extent> wanted) override;
  std::optional<disk::Chunk> next(const std::stop_token& stop) override;

 private:
  Read read_;
  std::mutex mutex_;  // guards next_index_
  std::uint64_t next_index_ = 0;
};

}  // namespace icecore::memory
