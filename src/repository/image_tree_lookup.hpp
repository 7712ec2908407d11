// SPDX-License-Identifier: Apache-2.0
// Names of single blocks of an image. Holds one node a level: asking in ascending order reads each node once.
//
// Threads: one at a time.
#pragma once

#include <optional>
#include <vector>

#include "repository/block_reader.hpp"
#include "repository/image_tree.hpp"

namespace icecore::repository {

class ImageTreeLookup {
 public:
  // `reader` outlives it. Fault::corrupt when height and size do not fit together.
  ImageTreeLookup(BlockReader& reader, const Config& config, const ImageRoot& image);

  // The zero name for a hole, and behind the image's end. Faults as BlockReader.
  BlockName at(std::uint64_t block);

  // The last block before `end` that is not zero.
  std::optional<std::uint64_t> last_data_before(std::uint64_t end);

  // Which leaves are not all zero, ascending; each stands for fan_out blocks. Reads all nodes but the leaves.
  std::vector<std::uint64_t> data_leaves();

  std::uint64_t blocks() const noexcept { return blocks_; }

 private:
  struct Node {
    bool known = false;
    std::uint64_t index = 0;  // among the nodes of its level
    std::vector<BlockName> names;
  };
  const std::vector<BlockName>& node(std::size_t level, std::uint64_t index);
  BlockName name_in(std::size_t level, std::uint64_t index);
  std::optional<std::uint64_t> last_data_below(std::size_t level, std::uint64_t index, std::uint64_t end);

  BlockReader& reader_;
  BlockName root_;
  std::uint64_t fan_out_;
  std::uint64_t blocks_;
  std::vector<Node> levels_;  // [0] leaf ... back() root
};

}  // namespace icecore::repository
