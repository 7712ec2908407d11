// SPDX-License-Identifier: Apache-2.0
// One pack while it fills, and its writing. Frames are kept as they come and handed to the storage as
// parts: nothing is copied.
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
  explicit PackWriter(FrameKind kind) : kind_(kind) {}

  void add(SealedFrame frame);
  bool empty() const noexcept { return frames_.empty(); }
  // Large enough to be written.
  bool full(const Config& config) const noexcept;

  // Stores the pack durably under the hash of its content and says what lies where. On failure nothing of
  // that name appears. `stored_bytes` gains its size.
  PackEntry write(storage::Storage& storage, const KeyRing& keys, std::uint64_t& stored_bytes);

 private:
  FrameKind kind_;
  std::vector<base::Buffer> frames_;
  std::vector<FrameEntry> entries_;
  std::uint64_t offset_ = k_pack_header_bytes;
  std::size_t blocks_ = 0;
};

}  // namespace icecore::repository
