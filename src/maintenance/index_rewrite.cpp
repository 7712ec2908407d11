// SPDX-License-Identifier: Apache-2.0
#include "maintenance/index_rewrite.hpp"

#include "base/failpoint.hpp"
#include "repository/index_object.hpp"

namespace icecore::maintenance {

using repository::PackEntry;

namespace {

// A smaller one is joined with others when index objects are replaced anyway.
constexpr std::size_t k_index_blocks_small = repository::k_blocks_per_index / 4;

}  // namespace

IndexRewrite::IndexRewrite(repository::Repository& repository, const Survey& survey, const Watch& watch)
    : repository_(repository),
      survey_(survey),
      watch_(watch),
      index_(repository),
      packs_(repository, index_),
      repack_(repository, packs_) {}

void IndexRewrite::run(const std::vector<PackFate>& fates) {
  watch_.on_phase("rewrite packs");
  const std::vector<bool> replace = objects_to_replace(fates);
  // What stays goes into objects of its own, so that a kill never leaves one that lists a pack not yet written.
  IndexSink kept(repository_);
  for (std::uint32_t i = 0; i < replace.size(); ++i) {
    if (replace[i]) read_object(i, fates, kept);
  }
  repack_.finish();
  packs_.finish();
  index_.finish();
  kept.finish();
  base::failpoint("prune.index_written");
  for (std::uint32_t i = 0; i < replace.size(); ++i) {
    if (!replace[i]) continue;
    repository_.storage().remove(repository::index_object(survey_.indexes[i].id));
    changes_.removed.push_back(survey_.indexes[i].id);
    base::failpoint("prune.index_removed");
  }
  changes_.written = index_.written();
  changes_.written.insert(changes_.written.end(), kept.written().begin(), kept.written().end());
}

std::vector<bool> IndexRewrite::objects_to_replace(const std::vector<PackFate>& fates) const {
  std::vector<bool> replace(survey_.indexes.size());
  for (std::size_t i = 0; i < fates.size(); ++i) {
    if (fates[i] != PackFate::keep) replace[survey_.table.packs()[i].source] = true;
  }
  for (std::size_t i = 0; i < replace.size(); ++i) {
    const IndexFacts& index = survey_.indexes[i];
    if (index.needless_packs > 0 || index.blocks < k_index_blocks_small) replace[i] = true;
    // One that cannot be read is for a repair to remove.
    if (!index.readable) replace[i] = false;
  }
  return replace;
}

void IndexRewrite::read_object(std::uint32_t number, const std::vector<PackFate>& fates, IndexSink& kept) {
  for (PackEntry& pack : repository::load_index(repository_.storage(), repository_.keys(), repository_.config(),
                                                survey_.indexes[number].id)) {
    watch_.tick();
    const auto at = survey_.table.index_of(pack.id);
    if (at && survey_.table.packs()[*at].source != number) continue;  // listed by another object too
    if (at && stays(pack, *at, fates)) {
      kept.add(std::move(pack));
    } else {
      if (!at) salvage_pack(pack);
      changes_.dropped.insert(pack.id);
    }
  }
}

bool IndexRewrite::stays(const PackEntry& pack, std::uint32_t number, const std::vector<PackFate>& fates) {
  switch (fates[number]) {
    case PackFate::keep: return true;
    case PackFate::move: return !move_pack(pack, survey_.table.packs()[number].first_block);
    case PackFate::salvage: salvage_pack(pack); return false;
    case PackFate::remove: return false;
  }
  return true;
}

// What of it is there.
void IndexRewrite::salvage_pack(const PackEntry& pack) {
  if (!survey_.packs.contains(pack.id) || !salvaged_.insert(pack.id).second) return;
  repack_.salvage(pack);
}

// False: it is damaged.
bool IndexRewrite::move_pack(const PackEntry& pack, std::uint32_t first_block) {
  try {
    repack_.move(pack,
                 [&](std::size_t i) { return survey_.walk->is_live(first_block + static_cast<std::uint32_t>(i)); });
    return true;
  } catch (const base::Error& error) {
    if (error.fault() != base::Fault::corrupt) throw;
    notes_.push_back(fmt::format("pack {} stays as it is: {}; `icecore verify --read-data` tells what suffers",
                                 pack.id.hex(), error.what()));
    return false;
  }
}

}  // namespace icecore::maintenance
