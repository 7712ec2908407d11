// SPDX-License-Identifier: Apache-2.0
// Gives back the space of blocks no restore point needs, in two phases, so that nobody who works beside it loses
// a block. Marking: new packs with what is live of sparse ones, new index objects, and a mark that lists the packs left
// behind; runs beside backups. Sweeping, when the mark is older than the time of grace: with the repository to itself
// for as long as deleting takes, after another look at all restore points. Each step can be killed and begun again.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "maintenance/watch.hpp"
#include "repository/repository.hpp"

namespace icecore::maintenance {

struct PruneOptions {
  std::chrono::seconds grace = std::chrono::hours(24);
  unsigned live_percent_min = 50;  // packs with a smaller share of live blocks are rewritten
  bool dry_run = false;            // nothing is written
};

struct PackCount {
  std::size_t packs = 0;
  std::uint64_t bytes = 0;
};

struct PruneReport {
  std::size_t points = 0;
  std::uint64_t live_blocks = 0;
  PackCount before;                    // all there were
  PackCount kept;                      // left as they are
  PackCount needless;                  // no block of them is needed: marked now
  PackCount rewritten;                 // sparse or small: their live blocks moved, and they are marked now
  PackCount written;                   // what the rewriting wrote; an estimate in a dry run
  PackCount waiting;                   // marked, not deleted yet; those of this run among them
  PackCount deleted;                   // would be, in a dry run
  std::optional<base::Timestamp> due;  // when the next waiting packs may be deleted
  std::vector<std::string> notes;      // what a person should know
};

// Takes the repository's maintenance lock. Faults: busy (another maintenance, or an exclusive lock); corrupt, before
// anything is written, when a restore point cannot be read or lacks blocks no repair has noted: what it needs could be
// deleted. That deletion has to wait, because others are at work, is a note.
PruneReport prune(repository::Repository& repository, const PruneOptions& options, const Watch& watch);

}  // namespace icecore::maintenance
