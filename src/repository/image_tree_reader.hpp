// SPDX-License-Identifier: Apache-2.0
// Walks an image tree leaf by leaf, in disk order; subtrees that are zero cost nothing.
//
// Threads: one at a time.
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "repository/block_reader.hpp"
#include "repository/image_tree.hpp"

namespace icecore::repository {

class ImageTreeReader {
 public:
  // Block first_block + i of the disk is names[i]; zero names are holes. Blocks behind are zero too.
  struct Leaf {
    std::uint64_t first_block = 0;
    std::vector<BlockName> names;
  };

  // `reader` outlives it. Fault::corrupt when height and size do not fit together.
  // `lost`: blocks known to be nowhere; they read as holes, and no node that stands only for such is read.
  ImageTreeReader(BlockReader& reader, const Config& config, const ImageRoot& image, std::vector<BlockRange> lost = {});

  // The next leaf that is not all zero, or nothing at the end.
  std::optional<Leaf> next();
  void for_each_leaf(const std::function<void(std::uint64_t first_block, std::span<const BlockName>)>& action);

 private:
  struct Open {
    std::uint64_t first_block = 0;
    std::vector<BlockName> names;
    std::size_t at = 0;
  };
  bool all_lost(std::uint64_t first_block, std::uint64_t count) const;
  void push(const BlockName& name, std::uint64_t first_block);
  std::uint64_t blocks_below(std::size_t depth) const;

  BlockReader& reader_;
  std::uint32_t fan_out_;
  std::uint64_t blocks_;
  unsigned height_;
  std::vector<BlockRange> lost_;
  std::vector<Open> path_;  // [0] root
};

}  // namespace icecore::repository
