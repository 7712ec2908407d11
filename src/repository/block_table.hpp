// SPDX-License-Identifier: Apache-2.0
// All blocks of a repository, numbered, in 16 bytes each: for work on the whole, which must not believe a local
// cache. It is made of index objects, each proved by its seal; 96 bits of a block's name stand for all of it.
// A million blocks take 16 MiB, the 64 KiB blocks of a TiB 256 MiB.
//
// Threads: one at a time while it fills; any number after seal().
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "repository/index_cache.hpp"

namespace icecore::repository {

struct TablePack {
  PackId id;
  FrameKind kind = FrameKind::data;
  std::uint32_t first_block = 0;  // its blocks have the numbers from here on, in their order in the pack
  std::uint32_t blocks = 0;
  std::uint64_t frames_end = 0;
  std::uint32_t source = 0;  // what add() was given: which index object
};

// Blocks in packs that hold something else under their names.
using BadBlocks = std::set<std::pair<PackId, BlockName>>;

class BlockTable {
 public:
  // Memory for that many is set aside at once.
  void reserve(std::size_t blocks) { entries_.reserve(blocks); }
  // Numbers the pack's blocks; those in `bad` are not to be found. A pack that is there already changes nothing.
  void add(const PackEntry& pack, std::uint32_t source, const BadBlocks& bad = {});
  // Ends adding. Of a block that lies in several packs one copy is found from now on, the one in the fullest pack that
  // is not `doubtful`; the others are as dead as blocks that nobody needs.
  void seal(const std::set<PackId>& doubtful = {});

  // The block's number.
  std::optional<std::uint32_t> find(const BlockName& name) const;
  // Where an image tree node lies; nothing when that block lies in a data pack, as one with the same bytes as a
  // guest's block does.
  std::optional<BlockLocation> locate_node(std::uint32_t number) const;

  std::uint32_t size() const noexcept { return size_; }
  const std::vector<TablePack>& packs() const noexcept { return packs_; }
  bool has(const PackId& pack) const { return pack_at_.contains(pack); }
  // The pack's place in packs().
  std::optional<std::uint32_t> index_of(const PackId& pack) const;
  const TablePack& pack_of(std::uint32_t number) const;

 private:
  struct Entry {
    std::array<std::byte, 12> tag;
    std::uint32_t number;
  };
  struct NodeFrame {
    std::uint32_t first_block;
    FrameLocation location;
    std::vector<std::uint32_t> ends;  // of each node in the decoded frame
  };
  void add_nodes(const PackEntry& pack);

  std::vector<Entry> entries_;
  std::vector<TablePack> packs_;             // by first_block
  std::map<PackId, std::uint32_t> pack_at_;  // their places in packs_
  std::vector<NodeFrame> nodes_;             // by first_block
  std::uint32_t size_ = 0;
};

}  // namespace icecore::repository
