// SPDX-License-Identifier: Apache-2.0
// What a backup of a domain would do, as values: what `icecore explain` prints.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "disk/image.hpp"
#include "hypervisor/classify.hpp"
#include "hypervisor/connection.hpp"
#include "job/backup_plan.hpp"
#include "repository/manifest.hpp"

namespace icecore::job {

// Something a person should know, and what to do about it.
struct Advice {
  std::string text;
  std::string hint;
};

struct ExplainedLayer {
  disk::ImageInfo image;
  bool written = false;                   // by the guest now and by the merge; what lies below is only read
  std::vector<std::string> also_used_by;  // other domains
};

// The folder of an overlay, and what fits into it.
struct OverlayRoom {
  std::filesystem::path folder;
  std::uint64_t free_bytes = 0;
  std::uint64_t usable_bytes = 0;  // until the backup is ended early, for all overlays and merges there together
  std::uint64_t needed_max = 0;    // when the guest writes its whole disk anew meanwhile; to merge it there as well
};

// The file the guest's memory would be saved to for the time of the backup.
struct MemoryRoom {
  std::filesystem::path folder;  // empty: no disk is taken
  std::uint64_t needed_max = 0;  // but for what the guest writes again meanwhile
  std::uint64_t free_bytes = 0;
  bool pauses = false;  // the guest stands still meanwhile
};

struct ExplainedDisk {
  std::string target;
  std::string bus;
  std::string source;                 // as the XML names it
  hypervisor::DiskVerdict verdict;    // refuse also when it is taken by its kind, and cannot be today
  std::vector<ExplainedLayer> chain;  // top first; as far as it could be read
  std::string overlay;                // the overlay's name without the run's digits; empty: none
  OverlayRoom room;
  std::string change_map;  // bitmap, layer, scan
  std::string change_map_reason;
  std::string parent;                       // the point its changes would be counted from; empty: none, or not asked
  std::optional<std::uint64_t> read_bytes;  // what its bitmap marks, where that can be known
  std::uint64_t read_bytes_max = 0;         // what is allocated of its chain
  std::vector<std::string> notes;
  PlannedDisk planned;          // when it is included
  bool stays_on_layer = false;  // on the one it is on, which is read with what lies below
};

struct Explanation {
  std::string domain;
  std::string uuid;
  hypervisor::DomainState state = hypervisor::DomainState::shut_off;
  repository::CaptureMode mode = repository::CaptureMode::offline;
  repository::Consistency consistency = repository::Consistency::crash;
  std::string consistency_reason;
  std::uint64_t freeze_limit_ms = 0;  // 0: nothing is frozen
  std::vector<ExplainedDisk> disks;
  std::string repository;                              // that was asked; empty: none
  std::string repository_note;                         // why not, then
  std::optional<std::uint64_t> repository_free_bytes;  // where new blocks are written first, if that is on this host
  std::vector<std::string> firmware;                   // what of it goes into the point, and what does not
  std::vector<std::string> full_state_blockers;
  std::optional<MemoryRoom> memory;  // of a running domain, when its memory was asked for
  std::string memory_note;           // why it would be left out, where that may be, or what to know of it
  std::vector<Advice> advice;
  std::vector<base::Error> refusals;  // a backup would end with the first of them

  bool would_work() const noexcept { return refusals.empty(); }
  std::uint64_t read_bytes_max() const noexcept {
    std::uint64_t sum = 0;
    for (const ExplainedDisk& disk : disks) sum += disk.read_bytes.value_or(disk.read_bytes_max);
    return sum;
  }
};

}  // namespace icecore::job
