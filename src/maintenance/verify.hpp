// SPDX-License-Identifier: Apache-2.0
// Is everything there that restore points need, and is it what it should be? The structure is looked at always: keys,
// index, packs' sizes and ends, manifests, every image tree. Packs' content is read when asked for, and of packs that
// were damaged when this host last read them or that a restore point is noted to have lost blocks with.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "maintenance/survey.hpp"

namespace icecore::maintenance {

struct VerifyOptions {
  std::optional<unsigned> read_percent;  // of the packs' bytes, those longest unread
  std::filesystem::path history;         // which packs were read when (read_history.hpp)
  unsigned threads = 0;                  // that read, each holding one pack; 0: as many as suit this host
  // How long others who are at work are waited for, when what points need lies in packs that only they may be about to
  // take back (prune_mark.hpp): a backup does that at once, a prune at its end.
  std::chrono::seconds patience_with_jobs{30};
  std::chrono::seconds patience_with_prunes{600};
};

struct VerifyReport {
  std::size_t points = 0;
  std::uint64_t live_blocks = 0;
  std::size_t packs = 0;
  std::uint64_t bytes = 0;
  std::size_t packs_read = 0;
  std::uint64_t bytes_read = 0;
  std::size_t unindexed_packs = 0;  // what an interrupted backup left, or one that runs; no damage
  std::vector<BadObject> damage;    // objects that are not what they should be
  std::vector<DiskLoss> losses;     // what restore points lack because of it
  std::vector<std::string> healed;  // points whose losses were noted and are whole again: the note was removed
  bool good() const noexcept { return damage.empty() && losses.empty(); }
};

// Takes a shared lock. Changes nothing in the repository but damage marks: notes what points lack, removes the notes of
// those that are whole again. Adds to the history. Faults: busy, cancelled, those of the storage; damage is no fault
// but a part of the report.
VerifyReport verify(repository::Repository& repository, const VerifyOptions& options, const Watch& watch);

}  // namespace icecore::maintenance
