// SPDX-License-Identifier: Apache-2.0
// Reading the frozen layers of a backup's disks into the repository, for as long as the overlays' budget (free space,
// age) lasts, and the proof that what was read is what the guest had.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <vector>

#include "base/guarded.hpp"
#include "job/backup.hpp"
#include "job/increment.hpp"
#include "job/prepare_backup.hpp"
#include "job/space_watch.hpp"
#include "repository/block_writer.hpp"
#include "repository/manifest.hpp"

namespace icecore::job {

class FrozenReading {
 public:
  // From the moment the overlays are there. What is referred to outlives this.
  FrozenReading(const PreparedBackup& prepared, const BackupOptions& options, const JobContext& context,
                repository::BlockWriter& writer, JobNotes& notes);

  // Reads all disks of the plan and completes the manifest's entries of them. The budget is looked at before, and
  // meanwhile from a thread of its own, however long the repository or an image keeps this one. Fault::no_space or
  // unavailable when it is used up, cancelled on a stop.
  void read(repository::Manifest& manifest);

  // The bases in the order of the plan, as they were read.
  const std::vector<disk::ImageInfo>& frozen() const noexcept { return frozen_; }

  // Throws when the budget is used up, or on a stop: called where read() is not at work too; any thread.
  void keep_within_budget();
  // What else is looked at then, by one thread at a time.
  void look_beside(std::function<void()> look) { beside_ = std::move(look); }

  // Fault::conflict when a disk was resized or an image swapped meanwhile: what was read is nobody's disk, and merging
  // would grow or write into a stranger.
  void require_unchanged() const;

 private:
  void look_from_beside() noexcept;
  void read_all(repository::Manifest& manifest);
  void read_memory(repository::Manifest& manifest);
  void read_disk(const PlannedDisk& disk, repository::ManifestDisk& entry);
  std::optional<Increment> choose_increment(const PlannedDisk& disk, disk::DiskSource& source,
                                            repository::ManifestDisk& entry);
  std::uint64_t bytes_to_read(disk::DiskSource& source, const std::optional<Increment>& increment) const;
  void require_same_sizes() const;
  void require_same_chains() const;

  const PreparedBackup& prepared_;
  const JobContext& context_;
  repository::BlockWriter& writer_;
  std::stop_source end_;  // of read(): the user's stop, or a budget that is used up
  std::stop_callback<std::function<void()>> on_stop_;
  base::Guarded<std::optional<base::Error>> used_up_;
  Increments increments_;
  std::vector<disk::ImageInfo> frozen_;
  base::Guarded<SpaceWatch> budget_;  // of the overlays
  std::function<void()> beside_;
  std::mutex beside_turn_;
};

}  // namespace icecore::job
