// SPDX-License-Identifier: Apache-2.0
// Replaces index objects: moves the live blocks of packs that have to go, writes new index objects without them, and
// only then removes the old ones. Killed in between, some blocks are listed twice, which does no harm.
#pragma once

#include <set>

#include "maintenance/prune_plan.hpp"
#include "maintenance/repack.hpp"

namespace icecore::maintenance {

struct IndexChanges {
  std::vector<std::string> written;
  std::vector<std::string> removed;
  std::set<repository::PackId> dropped;  // packs no index lists any more
};

class IndexRewrite {
 public:
  // All outlive it.
  IndexRewrite(repository::Repository& repository, const Survey& survey, const Watch& watch);

  // `fates` as survey.table.packs(). A pack that turns out damaged while it is moved stays where it is, with a note.
  // One that is there but does not end where it should gives its good blocks.
  void run(const std::vector<PackFate>& fates);

  const IndexChanges& changes() const noexcept { return changes_; }
  const std::vector<repository::PackId>& packs_written() const noexcept { return packs_.written(); }
  std::uint64_t bytes_written() const noexcept { return packs_.bytes(); }
  std::size_t packs_salvaged() const noexcept { return salvaged_.size(); }
  const std::vector<std::string>& notes() const noexcept { return notes_; }

 private:
  std::vector<bool> objects_to_replace(const std::vector<PackFate>& fates) const;
  void read_object(std::uint32_t number, const std::vector<PackFate>& fates, IndexSink& kept);
  bool stays(const repository::PackEntry& pack, std::uint32_t number, const std::vector<PackFate>& fates);
  void salvage_pack(const repository::PackEntry& pack);
  bool move_pack(const repository::PackEntry& pack, std::uint32_t first_block);

  repository::Repository& repository_;
  const Survey& survey_;
  const Watch& watch_;
  IndexSink index_;
  PackSink packs_;
  Repack repack_;
  IndexChanges changes_;
  std::set<repository::PackId> salvaged_;
  std::vector<std::string> notes_;
};

}  // namespace icecore::maintenance
