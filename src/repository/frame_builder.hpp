// SPDX-License-Identifier: Apache-2.0
// Collects new blocks into frames and compresses and encrypts them: the place where a backup's CPU goes.
//
// Threads: one builder for each worker thread.
#pragma once

#include <optional>
#include <span>

#include "repository/block_writer.hpp"
#include "repository/compression.hpp"

namespace icecore::repository {

class FrameBuilder {
 public:
  // `writer` outlives the builder and receives nothing from it: the caller hands frames on.
  FrameBuilder(BlockWriter& writer, FrameKind kind);
  // For frames that no BlockWriter gets.
  FrameBuilder(const Repository& repository, FrameKind kind, int compression_level = k_compression_level_default);

  // Copies the block in. A frame comes out when this block does not fit behind those collected.
  // 0 < block.size() <= config().frame_bytes.
  std::optional<SealedFrame> add(const BlockName& name, base::ByteView block);

  // A frame of its own made of consecutive blocks, without copying them first; those collected so far
  // stay. `blocks` are at most config().frame_bytes long; each is of `block_bytes`, the last may be shorter.
  SealedFrame seal(std::span<const BlockName> names, base::ByteView blocks, std::uint32_t block_bytes);

  // What was collected, if anything. To be called at the end.
  std::optional<SealedFrame> flush();

 private:
  SealedFrame seal_entry(FrameEntry entry, base::ByteView raw);

  const KeyRing& keys_;
  FrameKind kind_;
  Compressor compressor_;
  base::Buffer raw_;
  base::Buffer compressed_;
  std::size_t filled_ = 0;
  std::vector<FrameBlock> blocks_;
};

}  // namespace icecore::repository
