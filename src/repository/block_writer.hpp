// SPDX-License-Identifier: Apache-2.0
// One backup's writing session: which blocks are new, their packs, the index objects. Until finish()
// returns nothing refers to what was written: a crash leaves garbage, never damage.
//
// Threads: name_of, names_of, claim and add may be called from several threads at once; finish() when
// they are done.
#pragma once

#include <unordered_set>
#include <vector>

#include "base/guarded.hpp"
#include "repository/compression.hpp"
#include "repository/pack_writer.hpp"
#include "repository/repository.hpp"

namespace icecore::repository {

struct WriteStats {
  std::uint64_t new_blocks = 0;
  std::uint64_t new_bytes = 0;         // of those blocks, as read
  std::uint64_t compressed_bytes = 0;  // the same, compressed and sealed
  std::uint64_t stored_bytes = 0;      // whole objects written: packs and indexes
  std::uint64_t packs = 0;
};

class BlockWriter {
 public:
  // Brings the index up to date first. `repository` outlives the writer.
  explicit BlockWriter(Repository& repository, int compression_level = k_compression_level_default);

  Repository& repository() const noexcept { return repository_; }
  int compression_level() const noexcept { return compression_level_; }

  BlockName name_of(base::ByteView block) const { return repository_.keys().name_of(block); }
  // Faster than one by one: give it all blocks of a chunk.
  void names_of(std::span<const base::ByteView> blocks, std::span<BlockName> names) const {
    repository_.keys().names_of(blocks, names);
  }

  // True: the block is nowhere yet and the caller now owes a frame that holds it. Always false for the
  // zero block, which is never stored.
  bool claim(const BlockName& name);

  // Appends to the open pack of the frame's kind. The caller whose frame fills the pack writes it, outside
  // of any lock: others go on with the next pack. A failure ends the session. Fault::conflict: packs of this session
  // are gone again, as when a person took its repository lock for left behind and a prune swept.
  void add(SealedFrame frame);

  // Writes what is left and makes all of it durable and known. Throws Fault::internal when a claimed block
  // never came.
  WriteStats finish();

  // So far; for progress.
  WriteStats stats() const;

 private:
  struct State {
    PackWriter data{FrameKind::data, {}};
    PackWriter tree{FrameKind::tree, {}};
    std::vector<base::Buffer> memory;  // of packs that are written
    std::vector<PackEntry> unindexed;
    std::size_t unindexed_blocks = 0;
    WriteStats stats;
  };
  static PackWriter swap_pack(State& state, FrameKind kind);
  void write_pack(PackWriter pack);
  void require_there(const std::vector<PackEntry>& packs) const;
  void write_index(std::vector<PackEntry> packs);

  Repository& repository_;
  int compression_level_;
  // Claimed in this session and not yet in the index: bounded, because an index is written every
  // k_blocks_per_index blocks.
  base::Guarded<std::unordered_set<BlockName, BlockNameHash>> claimed_;
  base::Guarded<State> state_;
};

}  // namespace icecore::repository
