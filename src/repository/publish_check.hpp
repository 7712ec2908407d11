// SPDX-License-Identifier: Apache-2.0
// What keeps a restore point from naming blocks that a prune took away while it was being made.
#pragma once

#include "repository/manifest.hpp"

namespace icecore::repository {

// Returns when every block of the manifest's images is in the index. Cheap while no index object went away since
// the writing session began (one list of index/); else all trees are walked, packs that are marked for deletion and
// hold what is needed are taken back, and Fault::conflict says that the backup has to run again when blocks are gone.
// The caller holds a shared repository lock, so that no sweep runs meanwhile.
void prove_blocks_are_indexed(Repository& repository, const Manifest& manifest);

}  // namespace icecore::repository
