// SPDX-License-Identifier: Apache-2.0
#include "repository/image_tree_reader.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace icecore::repository {

using base::Fault;

ImageTreeReader::ImageTreeReader(BlockReader& reader, const Config& config, const ImageRoot& image,
                                 std::vector<BlockRange> lost)
    : reader_(reader),
      fan_out_(config.fan_out),
      blocks_(block_count(image.disk_size, config.block_bytes)),
      height_(image.height),
      lost_(std::move(lost)) {
  if (height_ != tree_height(blocks_, fan_out_)) {
    base::fail(Fault::corrupt, "an image of {} bytes cannot have a tree of height {}", image.disk_size, height_);
  }
  if (!image.root.is_zero()) push(image.root, 0);
}

std::optional<ImageTreeReader::Leaf> ImageTreeReader::next() {
  while (!path_.empty()) {
    if (path_.size() == height_) {
      Leaf leaf{path_.back().first_block, std::move(path_.back().names)};
      path_.pop_back();
      for (std::size_t i = 0; !lost_.empty() && i < leaf.names.size(); ++i) {
        if (all_lost(leaf.first_block + i, 1)) leaf.names[i] = {};
      }
      return leaf;
    }
    Open& node = path_.back();
    if (node.at == node.names.size()) {
      path_.pop_back();
      continue;
    }
    const std::size_t child = node.at++;
    const BlockName name = node.names[child];
    if (!name.is_zero()) push(name, node.first_block + child * blocks_below(path_.size()));
  }
  return std::nullopt;
}

void ImageTreeReader::for_each_leaf(const std::function<void(std::uint64_t, std::span<const BlockName>)>& action) {
  while (const std::optional<Leaf> leaf = next()) action(leaf->first_block, leaf->names);
}

bool ImageTreeReader::all_lost(std::uint64_t first_block, std::uint64_t count) const {
  const std::uint64_t end = std::min(first_block + count, blocks_);
  return std::any_of(lost_.begin(), lost_.end(), [&](const BlockRange& range) {
    return range.first <= first_block && end <= range.first + range.count;
  });
}

// A node whose names reach behind the disk's end is refused here, once, so that no user of the tree can be
// led to write there.
void ImageTreeReader::push(const BlockName& name, std::uint64_t first_block) {
  if (!lost_.empty() && all_lost(first_block, blocks_below(path_.size()))) return;
  std::vector<BlockName> names = decode_node(name, reader_.read_block(name), fan_out_);
  const std::uint64_t last = first_block + (names.size() - 1) * blocks_below(path_.size() + 1);
  if (first_block >= blocks_ || last >= blocks_)
    base::fail(Fault::corrupt, "image tree node {} reaches behind the disk's end", name.hex());
  path_.push_back({first_block, std::move(names), 0});
}

// How many blocks a child of the node at that depth (root: 1) stands for.
std::uint64_t ImageTreeReader::blocks_below(std::size_t depth) const {
  std::uint64_t count = 1;
  for (std::size_t level = depth; level < height_; ++level) count *= fan_out_;
  return count;
}

}  // namespace icecore::repository
