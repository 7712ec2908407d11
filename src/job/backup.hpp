// SPDX-License-Identifier: Apache-2.0
// Backup of one domain: planned -> frozen -> snapshotted -> thawed -> reading -> sealed -> committing ->
// committed -> uploading -> published -> done. See state.hpp and the state table in ARCHITECTURE.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "job/context.hpp"
#include "repository/manifest.hpp"
#include "repository/repository.hpp"

namespace icecore::job {

enum class Quiesce {
  required,  // no frozen file systems, no backup; nor of a domain that was not shut down
  attempt,   // freeze if the agent does; say so when it did not
  off,       // never ask the agent
};

// How to know which blocks a disk has to be read of.
enum class ChangeMap {
  automatic,  // by bitmap where there is a good one, else scan
  bitmap,     // the same, and a disk that had to be scanned is told
  scan,       // all that is allocated; no bitmap is used or made
  layer,      // the overlay stays and holds what is written until the next backup, which reads that; else as automatic
};

// The guest's memory, of the instant of its disks.
enum class FullState {
  off,
  attempt,   // where it can be saved; say so when it cannot
  required,  // no memory, no backup
};

struct BackupOptions {
  Quiesce quiesce = Quiesce::attempt;
  FullState full_state = FullState::off;
  bool pause = false;                      // the guest stands still while its memory is saved
  bool live = false;                       // it does not, even where QEMU misses some of what it writes
  base::Milliseconds freeze_limit{0};      // 0: the guest's own limit (8 s Windows, 30 s others)
  std::vector<std::string> include_disks;  // targets; empty: all that can be included
  std::vector<std::string> exclude_disks;
  std::filesystem::path overlay_folder;         // empty: next to each base
  std::filesystem::path device_overlay_folder;  // for disks that are block devices, when overlay_folder is empty
  bool copy = false;          // a point beside the others: the domain's checkpoints and bitmaps stay as they are
  int compression_level = 0;  // 0: the repository's default
  std::vector<std::string> tags;
  ChangeMap change_map = ChangeMap::automatic;
  int recheck_per_mille = 1;  // of the blocks a bitmap calls unchanged: so many are read and compared all the same
  double overlay_free_share_min = 0.05;  // of the overlay's file system: less free space ends the backup early
  base::Milliseconds overlay_age_max = std::chrono::hours(24);  // after so long on overlays the backup ends early
};

struct BackupReport {
  repository::Manifest manifest;  // as published
  bool pending = false;           // complete in staging, not yet on the remote
  std::vector<std::string> notes;
};

// Backs up one domain, waits until the point is published and the domain is on its bases again. A staged backup
// is over once the point is complete in staging (pending): nothing of the domain is held while it is uploaded.
// A failure before `sealed` leaves the domain on its bases and no point; afterwards the job stays in the
// journal and recover() finishes it; the message says which. Fault::busy when another icecore works on it.
BackupReport run_backup(const JobContext& context, repository::Repository& repository, const std::string& domain,
                        const BackupOptions& options);

}  // namespace icecore::job
