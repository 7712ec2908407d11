// SPDX-License-Identifier: Apache-2.0
// Decides pack by pack what a prune does with it. Pure: a survey in, a plan out.
#pragma once

#include "maintenance/survey.hpp"

namespace icecore::maintenance {

enum class PackFate : std::uint8_t {
  keep,
  move,     // its live blocks go to a new pack: few of them are live, or it is one of many small packs
  salvage,  // it is damaged; all its good blocks go to a new pack (repair only)
  remove,   // nothing in it is needed
};

struct PrunePlan {
  std::vector<PackFate> fates;                // as survey.table.packs()
  std::vector<repository::PackId> unindexed;  // in no index, and not marked yet
  std::uint64_t live_blocks = 0;
  std::uint64_t bytes_kept = 0;
  std::uint64_t bytes_moved = 0;       // whole packs whose live blocks move
  std::uint64_t bytes_live_moved = 0;  // about what those take in their new packs
  std::uint64_t bytes_removed = 0;     // unindexed ones too
  std::size_t packs_kept = 0;
  std::size_t packs_moved = 0;
  std::size_t packs_removed = 0;

  bool changes_index() const noexcept;
};

// A pack under `live_percent_min` of live blocks is moved. `marked` are left alone.
PrunePlan plan_prune(const Survey& survey, const repository::Config& config, unsigned live_percent_min,
                     const std::set<repository::PackId>& marked);

}  // namespace icecore::maintenance
