// SPDX-License-Identifier: Apache-2.0
#include "maintenance/prune_plan.hpp"

#include <algorithm>
#include <array>

namespace icecore::maintenance {

using repository::PackId;
using repository::TablePack;

namespace {

// Every backup ends with two packs that are not full. That many of one kind are left as they are; more are joined,
// because each costs a round trip to list, to read and to delete.
constexpr std::size_t k_small_packs_max = 64;
constexpr std::uint64_t k_small_divisor = 4;  // of pack_bytes

std::uint32_t count_live(const Survey& survey, const TablePack& pack) {
  std::uint32_t live = 0;
  for (std::uint32_t i = 0; i < pack.blocks; ++i) live += survey.walk->is_live(pack.first_block + i) ? 1 : 0;
  return live;
}

PackFate fate_of(const TablePack& pack, std::uint32_t live, unsigned live_percent_min) {
  if (live == 0) return PackFate::remove;
  return std::uint64_t{live} * 100 < std::uint64_t{pack.blocks} * live_percent_min ? PackFate::move : PackFate::keep;
}

void join_small_packs(PrunePlan& plan, const Survey& survey, const repository::Config& config) {
  std::array<std::vector<std::size_t>, 3> small;  // by kind
  for (std::size_t i = 0; i < plan.fates.size(); ++i) {
    const TablePack& pack = survey.table.packs()[i];
    if (plan.fates[i] == PackFate::keep && survey.packs.at(pack.id) < config.pack_bytes / k_small_divisor)
      small[static_cast<std::size_t>(pack.kind)].push_back(i);
  }
  for (const std::vector<std::size_t>& packs : small) {
    if (packs.size() <= k_small_packs_max) continue;
    for (const std::size_t i : packs) plan.fates[i] = PackFate::move;
  }
}

void add_up(PrunePlan& plan, const Survey& survey, const std::vector<std::uint32_t>& live) {
  for (std::size_t i = 0; i < plan.fates.size(); ++i) {
    const TablePack& pack = survey.table.packs()[i];
    const std::uint64_t size = survey.packs.at(pack.id);
    switch (plan.fates[i]) {
      case PackFate::keep: plan.bytes_kept += size, ++plan.packs_kept; break;
      case PackFate::move:
        plan.bytes_moved += size, ++plan.packs_moved;
        plan.bytes_live_moved += size * live[i] / pack.blocks;
        break;
      case PackFate::salvage: break;
      case PackFate::remove: plan.bytes_removed += size, ++plan.packs_removed; break;
    }
  }
}

}  // namespace

bool PrunePlan::changes_index() const noexcept {
  return std::any_of(fates.begin(), fates.end(), [](PackFate fate) { return fate != PackFate::keep; });
}

PrunePlan plan_prune(const Survey& survey, const repository::Config& config, unsigned live_percent_min,
                     const std::set<PackId>& marked) {
  PrunePlan plan;
  plan.live_blocks = survey.walk->live_blocks();
  std::vector<std::uint32_t> live;
  for (const TablePack& pack : survey.table.packs()) {
    live.push_back(count_live(survey, pack));
    plan.fates.push_back(fate_of(pack, live.back(), live_percent_min));
  }
  join_small_packs(plan, survey, config);
  add_up(plan, survey, live);
  for (const auto& [id, size] : survey.packs_before) {
    if (survey.table.has(id) || marked.contains(id) || survey.missing_packs.contains(id)) continue;
    plan.unindexed.push_back(id);
    plan.bytes_removed += size, ++plan.packs_removed;
  }
  return plan;
}

}  // namespace icecore::maintenance
