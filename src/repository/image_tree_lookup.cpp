// SPDX-License-Identifier: Apache-2.0
#include "repository/image_tree_lookup.hpp"

#include "base/error.hpp"

namespace icecore::repository {

ImageTreeLookup::ImageTreeLookup(BlockReader& reader, const Config& config, const ImageRoot& image)
    : reader_(reader),
      root_(image.root),
      fan_out_(config.fan_out),
      blocks_(block_count(image.disk_size, config.block_bytes)),
      levels_(image.height) {
  if (image.height != tree_height(blocks_, config.fan_out)) {
    base::fail(base::Fault::corrupt, "an image of {} bytes cannot have a tree of height {}", image.disk_size,
               image.height);
  }
}

BlockName ImageTreeLookup::at(std::uint64_t block) { return block < blocks_ ? name_in(0, block) : BlockName{}; }

std::optional<std::uint64_t> ImageTreeLookup::last_data_before(std::uint64_t end) {
  return last_data_below(levels_.size() - 1, 0, end);
}

std::vector<std::uint64_t> ImageTreeLookup::data_leaves() {
  std::vector<std::uint64_t> found;
  if (!root_.is_zero()) found.push_back(0);
  for (std::size_t level = levels_.size() - 1; level > 0; --level) {
    std::vector<std::uint64_t> below;
    for (const std::uint64_t index : found) {
      const std::vector<BlockName>& names = node(level, index);
      for (std::size_t i = 0; i < names.size(); ++i) {
        if (!names[i].is_zero()) below.push_back(index * fan_out_ + i);
      }
    }
    found = std::move(below);
  }
  return found;
}

// What the level's nodes, one after the other, have at `index`.
BlockName ImageTreeLookup::name_in(std::size_t level, std::uint64_t index) {
  const std::vector<BlockName>& names = node(level, index / fan_out_);
  const std::uint64_t slot = index % fan_out_;
  return slot < names.size() ? names[slot] : BlockName{};
}

const std::vector<BlockName>& ImageTreeLookup::node(std::size_t level, std::uint64_t index) {
  Node& held = levels_[level];
  if (held.known && held.index == index) return held.names;
  const BlockName name = level + 1 == levels_.size() ? root_ : name_in(level + 1, index);
  held.known = false;
  held.names.clear();
  if (!name.is_zero()) held.names = decode_node(name, reader_.read_block(name), static_cast<std::uint32_t>(fan_out_));
  held.index = index;
  held.known = true;
  return held.names;
}

std::optional<std::uint64_t> ImageTreeLookup::last_data_below(std::size_t level, std::uint64_t index,
                                                              std::uint64_t end) {
  std::uint64_t span = 1;  // blocks a child stands for
  for (std::size_t below = 0; below < level; ++below) span *= fan_out_;
  for (std::size_t child = node(level, index).size(); child-- > 0;) {
    const std::uint64_t place = index * fan_out_ + child;
    if (place * span >= end || node(level, index)[child].is_zero()) continue;
    if (level == 0) return place;
    if (const auto found = last_data_below(level - 1, place, end)) return found;
  }
  return std::nullopt;
}

}  // namespace icecore::repository
