// SPDX-License-Identifier: Apache-2.0
#include "repository/image_tree_writer.hpp"

#include <cassert>

#include "base/error.hpp"

namespace icecore::repository {

ImageTreeWriter::ImageTreeWriter(BlockWriter& writer, std::uint64_t disk_size)
    : writer_(writer),
      reader_(writer.repository()),
      builder_(writer, FrameKind::tree),
      fan_out_(writer.repository().config().fan_out),
      disk_size_(disk_size),
      blocks_(block_count(disk_size, writer.repository().config().block_bytes)),
      levels_(tree_height(blocks_, fan_out_)) {}

ImageTreeWriter::ImageTreeWriter(BlockWriter& writer, std::uint64_t disk_size, const ImageRoot& base)
    : ImageTreeWriter(writer, disk_size) {
  if (disk_size < base.disk_size || base.height > levels_.size()) {
    base::fail(base::Fault::usage, "an image of {} bytes cannot build on one of {}", disk_size, base.disk_size);
  }
  lift_base(base);
}

void ImageTreeWriter::set(std::uint64_t block_index, const BlockName& name) {
  assert(block_index >= next_block_ && block_index < blocks_);
  next_block_ = block_index + 1;
  open(0, block_index / fan_out_);
  levels_[0].names[block_index % fan_out_] = name;
}

ImageRoot ImageTreeWriter::finish() {
  for (std::size_t level = 0; level < levels_.size(); ++level) close(level);
  if (std::optional<SealedFrame> frame = builder_.flush()) writer_.add(std::move(*frame));
  return {root_, static_cast<unsigned>(levels_.size()), disk_size_};
}

// A taller tree has the old root as its first child, or first grandchild ...
void ImageTreeWriter::lift_base(const ImageRoot& base) {
  root_ = base.root;
  for (std::size_t height = base.height; height < levels_.size() && !root_.is_zero(); ++height) {
    const std::vector<BlockName> names = {root_};
    root_ = store(names);
    lifted_.emplace_back(root_, names);
  }
}

void ImageTreeWriter::open(std::size_t level, std::uint64_t index) {
  Node& node = levels_[level];
  if (node.open && node.index == index) return;
  close(level);
  const bool is_root = level + 1 == levels_.size();
  // The parent first: its slot holds the base's node, which this one starts from.
  if (!is_root) open(level + 1, index / fan_out_);
  const BlockName from = is_root ? root_ : levels_[level + 1].names[index % fan_out_];
  node.names = load(from);
  node.names.resize(fan_out_);
  node.index = index;
  node.open = true;
}

void ImageTreeWriter::close(std::size_t level) {
  Node& node = levels_[level];
  if (!node.open) return;
  // Children are closed by now: set() ascends, so open() and finish() close from the leaves up.
  const BlockName name = store(node.names);
  node.open = false;
  if (level + 1 == levels_.size()) {
    root_ = name;
  } else {
    levels_[level + 1].names[node.index % fan_out_] = name;
  }
}

std::vector<BlockName> ImageTreeWriter::load(const BlockName& name) {
  if (name.is_zero()) return {};
  for (const auto& [lifted, names] : lifted_) {
    if (lifted == name) return names;
  }
  return decode_node(name, reader_.read_block(name), fan_out_);
}

BlockName ImageTreeWriter::store(const std::vector<BlockName>& names) {
  const base::Bytes bytes = encode_node(names);
  const BlockName name = writer_.name_of(bytes);
  if (!writer_.claim(name)) return name;
  if (std::optional<SealedFrame> frame = builder_.add(name, bytes)) writer_.add(std::move(*frame));
  return name;
}

}  // namespace icecore::repository
