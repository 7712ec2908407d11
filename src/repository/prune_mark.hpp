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

// All of them. Fault::corrupt names a damaged one.
std::vector<PruneMark> load_prune_marks(Repository& repository);

// Takes marked packs that hold one of the wanted blocks into a new index object, and returns how many; wanted
// loses the blocks found. Packs that are gone or damaged are passed over. Call it with a repository lock held.
std::size_t rescue_marked_packs(Repository& repository, std::set<BlockName>& wanted);

}  // namespace icecore::repository
