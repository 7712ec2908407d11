// SPDX-License-Identifier: Apache-2.0
// Writes an image tree from block names that come in ascending order; holds one node a level, so its
// memory does not grow with the disk.
//
// Threads: one at a time. Shares the BlockWriter with the threads that write data.
#pragma once

#include <optional>

#include "repository/block_reader.hpp"
#include "repository/block_writer.hpp"
#include "repository/frame_builder.hpp"
#include "repository/image_tree.hpp"

namespace icecore::repository {

class ImageTreeWriter {
 public:
  // A tree of its own: blocks that are not set are zero. `writer` outlives it.
  ImageTreeWriter(BlockWriter& writer, std::uint64_t disk_size);
  // A tree that is `base` but for the blocks set: subtrees without a change are shared and not even read.
  // The disk may have grown; then the caller sets again a last block that was short. Fault::usage when it
  // has shrunk.
  ImageTreeWriter(BlockWriter& writer, std::uint64_t disk_size, const ImageRoot& base);

  // block_index must be larger than in the last call and inside of the disk.
  void set(std::uint64_t block_index, const BlockName& name);

  // Hands the last nodes to the BlockWriter, whose finish() makes them durable. Call once.
  ImageRoot finish();

 private:
  struct Node {
    bool open = false;
    std::uint64_t index = 0;  // among the nodes of its level
    std::vector<BlockName> names;
  };
  void lift_base(const ImageRoot& base);
  void open(std::size_t level, std::uint64_t index);
  void close(std::size_t level);
  std::vector<BlockName> load(const BlockName& name);
  BlockName store(const std::vector<BlockName>& names);

  BlockWriter& writer_;
  BlockReader reader_;
  FrameBuilder builder_;
  std::uint32_t fan_out_;
  std::uint64_t disk_size_;
  std::uint64_t blocks_;
  std::uint64_t next_block_ = 0;
  std::vector<Node> levels_;  // [0] leaf ... back() root
  BlockName root_;
  // Nodes put above a lower base tree: not yet readable, as they are written in this session.
  std::vector<std::pair<BlockName, std::vector<BlockName>>> lifted_;
};

}  // namespace icecore::repository
