// SPDX-License-Identifier: Apache-2.0
// The objects prunes/<id>: packs that a prune found needless and will delete when a time of grace is over. Until
// then whoever needs one of their blocks after all takes the pack back into the index. Written in FORMAT.md, "Prune
// mark".
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "repository/repository.hpp"

namespace icecore::repository {

struct PruneMark {
  std::string id;
  base::Timestamp created{};
  std::vector<PackId> packs;
};

std::string prune_mark_object(const std::string& id);

// Stores it durably. Fault::internal when it exists.
void store_prune_mark(Repository& repository, const PruneMark& mark);

// A mark that cannot be read.
struct DamagedPruneMark {
  std::string object;
  std::string reason;
};

// All of them. Damaged ones go to `damaged`, or are Fault::corrupt when that is null.
std::vector<PruneMark> load_prune_marks(Repository& repository, std::vector<DamagedPruneMark>* damaged = nullptr);

// The marked packs that hold one of the wanted blocks; wanted loses those found. Packs that are gone or damaged are
// passed over. Call it with a repository lock held.
std::vector<PackEntry> find_in_marked_packs(Repository& repository, std::set<BlockName>& wanted);

// Brings what all marked packs hold into `cache`, as index objects bring theirs into the index cache, and forgets what
// lay in packs that are marked no longer. Damaged marks and packs are passed over. Without a repository lock, packs may
// go at any time.
void load_marked_packs(Repository& repository, IndexCache& cache);

// Takes what find_in_marked_packs() finds into new index objects, and returns how many packs that are.
std::size_t rescue_marked_packs(Repository& repository, std::set<BlockName>& wanted);

}  // namespace icecore::repository
