// SPDX-License-Identifier: Apache-2.0
#include "maintenance/copy_image.hpp"

namespace icecore::maintenance {

using repository::BlockName;
using repository::FrameKind;
using repository::WantedBlock;

namespace {

// Names of blocks kept, 64 bytes each: leaves of neighbouring points mostly hold the same ones. Beyond that all are
// forgotten, which costs reading again and nothing else.
constexpr std::size_t k_blocks_remembered_max = 512 * 1024;

}  // namespace

CopyImage::CopyImage(repository::Repository& source, repository::BlockWriter& writer, CopiedNames& names,
                     const Watch& watch)
    : source_(source),
      writer_(writer),
      names_(names),
      watch_(watch),
      reader_(source),
      data_(writer, FrameKind::data),
      tree_(writer, FrameKind::tree) {}

repository::ImageRoot CopyImage::copy(const repository::ImageRoot& image) {
  return {image.root.is_zero() ? image.root : copy_node(image.root, image.height), image.height, image.disk_size};
}

void CopyImage::finish() {
  for (repository::FrameBuilder* builder : {&data_, &tree_}) {
    if (auto rest = builder->flush()) writer_.add(std::move(*rest));
  }
}

// level 1: a leaf.
BlockName CopyImage::copy_node(const BlockName& name, unsigned level) {
  if (const auto known = names_.nodes.find({level, name}); known != names_.nodes.end()) return known->second;
  std::vector<BlockName> names = repository::decode_node(name, reader_.read_block(name), source_.config().fan_out);
  if (level == 1) {
    copy_blocks(names);
  } else {
    for (BlockName& child : names) {
      if (!child.is_zero()) child = copy_node(child, level - 1);
    }
  }
  return names_.nodes[{level, name}] = store(tree_, repository::encode_node(names));
}

// Each name becomes that of the same block in the target. Frames are read once for the whole leaf.
void CopyImage::copy_blocks(std::vector<BlockName>& names) {
  watch_.tick();
  if (names_.blocks.size() > k_blocks_remembered_max) names_.blocks.clear();
  std::map<repository::FrameLocation, std::vector<WantedBlock>> frames;
  for (const BlockName& name : names) {
    if (name.is_zero() || names_.blocks.contains(name)) continue;
    const repository::BlockLocation at = reader_.locate_or_fail(name);
    frames[at.frame].push_back({name, at.offset, at.length});
  }
  for (const auto& [frame, wanted] : frames) copy_frame(frame, wanted);
  for (BlockName& name : names) {
    if (!name.is_zero()) name = names_.blocks.at(name);
  }
}

void CopyImage::copy_frame(const repository::FrameLocation& frame, const std::vector<WantedBlock>& wanted) {
  const base::Buffer bytes = reader_.read_frame(frame, wanted);
  for (const WantedBlock& block : wanted) {
    bytes_read_ += block.length;
    names_.blocks[block.name] = store(data_, bytes.view().subspan(block.offset, block.length));
  }
}

BlockName CopyImage::store(repository::FrameBuilder& builder, base::ByteView block) {
  const BlockName name = writer_.name_of(block);
  if (writer_.claim(name)) {
    if (auto frame = builder.add(name, block)) writer_.add(std::move(*frame));
  }
  return name;
}

}  // namespace icecore::maintenance
