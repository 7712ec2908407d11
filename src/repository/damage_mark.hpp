// SPDX-License-Identifier: Apache-2.0
// The objects damage/<point id>-<id>: what a repair or a verify found a restore point to have lost. The point stays and
// what is left of it can be restored. Written in FORMAT.md, "Damage".
//
// A mark says what was lost when it was made; blocks a later backup stores again heal the point, and the next verify or
// repair removes the mark. A mark is never rewritten: a new one comes before the old one goes, so that no kill loses
// it, on any storage. A point has several where two looked at the same time; together they say what it lost.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "repository/live_walk.hpp"
#include "repository/repository.hpp"

namespace icecore::repository {

struct DamagedDisk {
  std::string disk;  // target, or the kind of a blob
  std::vector<BlockRange> lost;
};

struct DamageMark {
  std::string point_id;
  base::Timestamp noted{};
  std::vector<DamagedDisk> disks;
  // A repair has taken what there was, so that a prune may go on beside the loss. False: a verify found it.
  bool repaired = true;
  // Packs that were found damaged by reading them, for a loss that nothing else shows: who looks again reads them.
  std::set<PackId> packs;
};

// The names of all marks, readable or not, by the point's id.
using DamageObjects = std::map<std::string, std::set<std::string>>;
DamageObjects list_damage(Repository& repository);
// The ids of all points with a mark.
std::set<std::string> list_damaged_points(Repository& repository);

// Stores it durably, then removes `replaced`. Returns its name.
std::string store_damage(Repository& repository, const DamageMark& mark, const std::set<std::string>& replaced = {});
// One mark; nothing when it is gone. Fault::corrupt names a damaged one.
std::optional<DamageMark> load_mark(Repository& repository, const std::string& object);
// All that is noted of the point, as one mark, which is repaired when all are; or nothing. Faults as load_mark().
std::optional<DamageMark> load_damage(Repository& repository, const std::string& point_id);
// Whether all of `lost` was noted for that disk.
bool covers(const DamageMark& mark, const std::string& disk, const std::vector<BlockRange>& lost);

}  // namespace icecore::repository
