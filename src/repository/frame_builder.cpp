// SPDX-License-Identifier: Apache-2.0
#include "repository/frame_builder.hpp"

#include <cassert>

namespace icecore::repository {

FrameBuilder::FrameBuilder(BlockWriter& writer, FrameKind kind)
    : FrameBuilder(writer.repository(), kind, writer.compression_level()) {}

FrameBuilder::FrameBuilder(const Repository& repository, FrameKind kind, int compression_level)
    : keys_(repository.keys()), kind_(kind), compressor_(compression_level), raw_(repository.config().frame_bytes) {}

std::optional<SealedFrame> FrameBuilder::add(const BlockName& name, base::ByteView block) {
  assert(!block.empty() && block.size() <= raw_.size() && !name.is_zero());
  std::optional<SealedFrame> full;
  if (block.size() > raw_.size() - filled_) full = flush();
  std::copy(block.begin(), block.end(), raw_.span().begin() + static_cast<std::ptrdiff_t>(filled_));
  filled_ += block.size();
  blocks_.push_back({name, static_cast<std::uint32_t>(block.size())});
  return full;
}

SealedFrame FrameBuilder::seal(std::span<const BlockName> names, base::ByteView blocks, std::uint32_t block_bytes) {
  assert(!blocks.empty() && blocks.size() <= raw_.size() &&
         names.size() == (blocks.size() + block_bytes - 1) / block_bytes);
  FrameEntry entry;
  entry.blocks.reserve(names.size());
  std::size_t left = blocks.size();
  for (const BlockName& name : names) {
    const std::size_t length = std::min<std::size_t>(left, block_bytes);
    entry.blocks.push_back({name, static_cast<std::uint32_t>(length)});
    left -= length;
  }
  return seal_entry(std::move(entry), blocks);
}

std::optional<SealedFrame> FrameBuilder::flush() {
  if (filled_ == 0) return std::nullopt;
  FrameEntry entry;
  entry.blocks = std::exchange(blocks_, {});
  return seal_entry(std::move(entry), raw_.view().first(std::exchange(filled_, 0)));
}

SealedFrame FrameBuilder::seal_entry(FrameEntry entry, base::ByteView raw) {
  const base::ByteView packed = compressor_.compress(raw, compressed_);
  entry.compression = packed.empty() ? Compression::none : Compression::zstd;
  entry.raw_length = static_cast<std::uint32_t>(raw.size());
  base::Buffer stored = keys_.seal_frame(packed.empty() ? raw : packed,
                                         frame_associated_data(kind_, entry.compression, entry.raw_length));
  entry.stored_length = static_cast<std::uint32_t>(stored.size());
  return {kind_, std::move(entry), std::move(stored)};
}

}  // namespace icecore::repository
