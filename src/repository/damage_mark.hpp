// SPDX-License-Identifier: Apache-2.0
// The objects damage/<point id>: what a repair or a verify found a restore point to have lost. The point stays and what
// is left of it can be restored. Written in FORMAT.md, "Damage".
//
// A mark says what was lost when it was made; blocks a later backup stores again heal the point, and the next verify or
// repair removes the mark.
#pragma once

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
};

std::string damage_object(const std::string& point_id);

// Stores it durably, in the place of an earlier one.
void store_damage(Repository& repository, const DamageMark& mark);
// The point's mark, or nothing. Fault::corrupt names a damaged one.
std::optional<DamageMark> load_damage(Repository& repository, const std::string& point_id);
DamageMark decode_damage(Repository& repository, const std::string& point_id, base::ByteView bytes);
// Whether all of `lost` was noted for that disk.
bool covers(const DamageMark& mark, const std::string& disk, const std::vector<BlockRange>& lost);
// The ids of all points with a mark, readable or not.
std::set<std::string> list_damaged_points(Repository& repository);

}  // namespace icecore::repository
