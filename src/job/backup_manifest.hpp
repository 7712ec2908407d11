// SPDX-License-Identifier: Apache-2.0
// From what a backup planned and measured to the manifest it publishes.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "hypervisor/freeze.hpp"
#include "hypervisor/snapshot.hpp"
#include "job/capture.hpp"
#include "job/firmware.hpp"
#include "job/journal.hpp"
#include "job/prepare_backup.hpp"
#include "repository/block_writer.hpp"
#include "repository/manifest.hpp"

namespace icecore::job {

// A snapshot took effect between these: around its call, or of one with the memory in the pause at its end.
struct InstantBounds {
  std::chrono::steady_clock::time_point earliest{};
  std::chrono::steady_clock::time_point latest{};
};

// What was measured around the instant of the snapshot.
struct InstantFacts {
  base::Timestamp instant{};  // as soon as the snapshot can have taken effect
  InstantBounds bounds;
  std::optional<hypervisor::FreezeReport> freeze;  // empty: nobody asked the agent
  std::optional<hypervisor::ThawReport> thaw;
  hypervisor::SnapshotReport snapshot;
  bool memory = false;             // the snapshot has the guest's memory
  bool started_meanwhile = false;  // planned as a domain that is off, it may have run when the snapshot was taken
  FirmwareCopy firmware;
};

// Full state with the memory; else crash, or filesystem when the agent froze at least one and confirmed a thaw that was
// not early. Of a domain that is off what it was left as, unless somebody started it before the snapshot.
repository::Consistency consistency_of(const PreparedBackup& prepared, const InstantFacts& facts);

// How long the guest was frozen; 0: it was not.
std::uint64_t frozen_ms(const InstantFacts& facts);

// How far apart the snapshots can have taken effect, at most: from the first one's earliest to the last one's latest.
std::uint64_t spread_ms(const std::vector<InstantBounds>& group);

// All but what reading will tell.
repository::Manifest draft_manifest(const JobRecord& record, const PreparedBackup& prepared,
                                    const BackupOptions& options, const InstantFacts& facts, bool running);

// What one disk's reading told; `before` and `after` are the writer's counters around it.
void fill_disk(repository::ManifestDisk& disk, const Captured& captured, const repository::WriteStats& before,
               const repository::WriteStats& after);

// Totals and duration, when everything is read.
void complete_manifest(repository::Manifest& manifest, const repository::WriteStats& stats, base::Timestamp begun);

}  // namespace icecore::job
