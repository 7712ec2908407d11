// SPDX-License-Identifier: Apache-2.0
// What keeps a restore point from naming blocks that a prune took away while it was being made.
#pragma once

#include <functional>

#include "repository/manifest.hpp"

namespace icecore::repository {

// How many blocks of the manifest's images are gone from the index, as far as they were counted. Cheap while no index
// object went away since the writing session began (one list of index/); else all trees are walked, and packs that are
// marked for deletion and hold what is needed are taken back. The caller holds a shared repository lock, so that no
// sweep runs meanwhile.
std::size_t count_gone_blocks(Repository& repository, const Manifest& manifest);

// The same, but all trees are walked, whatever this session knows of the index: for a manifest another one made.
// `tick` is called now and then, on the caller's thread.
std::size_t look_blocks_up(
    Repository& repository, const Manifest& manifest, const std::function<void()>& tick = [] {});

// As publish(), without any look at the blocks: for a storage that does so itself before the point is anywhere but
// here.
std::string publish_unlooked(Repository& repository, const Manifest& manifest);

}  // namespace icecore::repository
