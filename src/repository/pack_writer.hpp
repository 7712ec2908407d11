// SPDX-License-Identifier: Apache-2.0
// One pack while it fills, and its writing. The bytes lie together, because its name is a hash of pieces that
// do not end where frames do.
//
// Threads: one at a time; BlockWriter locks.
#pragma once

#include <vector>

#include "base/buffer.hpp"
#include "repository/frame_table.hpp"
#include "repository/key_ring.hpp"
#include "storage/storage.hpp"

namespace icecore::repository {

// A frame ready to be appended: entry.offset is not set yet.
struct SealedFrame {
  FrameKind kind = FrameKind::data;
  FrameEntry entry;
  base::Buffer stored;
};

class PackWriter {
 public:
  // `memory` is one taken from an earlier pack, or empty.
  PackWriter(FrameKind kind, base::Buffer memory) : kind_(kind), bytes_(std::move(memory)) {}

  void add(const Config& config, SealedFrame frame);
  bool empty() const noexcept { return entries_.empty(); }
  // Large enough to be written.
  bool full(const Config& config) const noexcept;

  // Stores the pack durably under its name and says what lies where. On failure nothing of that name
  // appears. `stored_bytes` gains its size.
  PackEntry write(storage::Storage& storage, const KeyRing& keys, std::uint64_t& stored_bytes);
  // For the next pack: clearing and mapping 32 MiB anew for each costs more than copying into them.
  base::Buffer take_memory() noexcept { return std::move(bytes_); }

 private:
  void append(base::ByteView bytes);

  FrameKind kind_;
  base::Buffer bytes_;
  std::size_t size_ = 0;
  std::vector<FrameEntry> entries_;
  std::size_t blocks_ = 0;
};

}  // namespace icecore::repository
