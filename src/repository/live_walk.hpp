// SPDX-License-Identifier: Apache-2.0
// Which blocks do restore points need? Walks their image trees and sets one bit a block. A node that was walked is
// not walked again, so what points share costs nothing, and a thousand points cost little more than one.
//
// Threads: one at a time.
#pragma once

#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "repository/block_reader.hpp"
#include "repository/block_table.hpp"
#include "repository/image_tree.hpp"

namespace icecore::repository {

class LiveWalk {
 public:
  // Both outlive the walk; `table` is sealed.
  LiveWalk(Repository& repository, const BlockTable& table);

  // Marks all that the image needs, and returns what of it is lost: blocks that are nowhere or lie below a node
  // that cannot be read. A storage that fails is thrown.
  std::vector<BlockRange> walk(const ImageRoot& image);

  bool is_live(std::uint32_t number) const { return live_[number]; }
  std::uint64_t live_blocks() const noexcept { return live_blocks_; }
  // Names no pack has; at most k_missing_max are remembered.
  const std::set<BlockName>& missing() const noexcept { return missing_; }
  // Packs that say they hold nodes which could not be read out of them.
  const std::set<PackId>& unreadable_packs() const noexcept { return unreadable_packs_; }
  // Why nodes could not be read, for messages.
  const std::vector<std::string>& problems() const noexcept { return problems_; }

  static constexpr std::size_t k_missing_max = 256 * 1024;

 private:
  struct Walked {
    bool whole = false;
    std::uint64_t reach = 0;  // blocks from its first to its last
  };
  struct Image {
    std::uint64_t blocks;
    std::vector<BlockRange> lost;
  };
  Walked visit(Image& image, const BlockName& name, unsigned level, std::uint64_t first);
  Walked visit_children(Image& image, const std::vector<BlockName>& names, unsigned level, std::uint64_t first);
  std::optional<std::vector<BlockName>> read_node(const BlockName& name, std::uint32_t number);
  base::Bytes read_block(const BlockName& name, std::uint32_t number);
  std::optional<std::uint32_t> mark(const BlockName& name);
  void lose(Image& image, std::uint64_t first, std::uint64_t count);
  std::uint64_t blocks_below(unsigned level) const;

  Repository& repository_;
  const BlockTable& table_;
  BlockReader reader_;
  Decompressor decompressor_;
  struct Decoded {
    FrameLocation location;
    base::Buffer bytes;
  };
  std::vector<Decoded> recent_;
  bool index_is_fresh_ = false;
  std::vector<bool> live_;
  std::uint64_t live_blocks_ = 0;
  // A node is known by its number and its level: a guest may have stored a block that looks like a node.
  std::unordered_map<std::uint64_t, Walked> walked_;
  std::set<BlockName> missing_;
  std::set<PackId> unreadable_packs_;
  std::vector<std::string> problems_;
};

}  // namespace icecore::repository
