// SPDX-License-Identifier: Apache-2.0
// The list of block names of one disk image, as a tree of nodes which are blocks themselves: what two
// images share is stored once. Written in FORMAT.md, "Image tree".
#pragma once

#include <vector>

#include "repository/block_name.hpp"
#include "repository/config.hpp"

namespace icecore::repository {

// What a manifest keeps of an image. height 1: the root is a leaf, its names are data blocks.
struct ImageRoot {
  BlockName root;
  unsigned height = 1;
  std::uint64_t disk_size = 0;
  bool operator==(const ImageRoot&) const = default;
};

// Blocks of an image that follow each other.
struct BlockRange {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  bool operator==(const BlockRange&) const = default;
};

// Every 64-bit size fits into a tree of that height even at the smallest block and fan-out.
constexpr unsigned k_tree_height_max = 32;

inline std::uint64_t block_count(std::uint64_t disk_size, std::uint32_t block_bytes) {
  return disk_size / block_bytes + (disk_size % block_bytes != 0 ? 1 : 0);
}
// The lowest tree that holds that many blocks; at least 1.
unsigned tree_height(std::uint64_t blocks, std::uint32_t fan_out);

// A node's bytes: its names without the zero names at its end. Empty for a node without any.
base::Bytes encode_node(const std::vector<BlockName>& names);
// Fault::corrupt unless it is what encode_node() makes of at most fan_out names.
std::vector<BlockName> decode_node(const BlockName& node, base::ByteView bytes, std::uint32_t fan_out);

}  // namespace icecore::repository
