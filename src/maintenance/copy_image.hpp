// SPDX-License-Identifier: Apache-2.0
// Copies image trees with their blocks into another repository. A tree node that was copied before is not read again.
//
// Threads: one at a time.
#pragma once

#include <map>
#include <unordered_map>

#include "maintenance/watch.hpp"
#include "repository/block_reader.hpp"
#include "repository/block_writer.hpp"
#include "repository/frame_builder.hpp"
#include "repository/image_tree.hpp"

namespace icecore::maintenance {

// What was copied in this run: names there and here. Only true once the writer that stored it has finished.
struct CopiedNames {
  std::map<std::pair<unsigned, repository::BlockName>, repository::BlockName> nodes;  // by level
  std::unordered_map<repository::BlockName, repository::BlockName, repository::BlockNameHash> blocks;
};

class CopyImage {
 public:
  // All outlive it. `writer` writes to the target.
  CopyImage(repository::Repository& source, repository::BlockWriter& writer, CopiedNames& names, const Watch& watch);

  // Fault::corrupt names what of the source is damaged.
  repository::ImageRoot copy(const repository::ImageRoot& image);
  // Hands the last blocks to the writer.
  void finish();

  std::uint64_t bytes_read() const noexcept { return bytes_read_; }

 private:
  repository::BlockName copy_node(const repository::BlockName& name, unsigned level);
  void copy_blocks(std::vector<repository::BlockName>& names);
  void copy_frame(const repository::FrameLocation& frame, const std::vector<repository::WantedBlock>& wanted);
  repository::BlockName store(repository::FrameBuilder& builder, base::ByteView block);

  repository::Repository& source_;
  repository::BlockWriter& writer_;
  CopiedNames& names_;
  const Watch& watch_;
  repository::BlockReader reader_;
  repository::FrameBuilder data_;
  repository::FrameBuilder tree_;
  std::uint64_t bytes_read_ = 0;
};

}  // namespace icecore::maintenance
