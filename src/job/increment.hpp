// SPDX-License-Identifier: Apache-2.0
// What a disk has to be read of: the changes since a point of its repository when that is certain, else everything.
#pragma once

#include <optional>
#include <stop_token>

#include "disk/disk_source.hpp"
#include "job/backup.hpp"
#include "job/capture.hpp"
#include "job/change_map.hpp"
#include "job/job_notes.hpp"

namespace icecore::job {

// For the disks of one domain; one thread. What is referred to outlives it.
class Increments {
 public:
  // After the BlockWriter was made and with a shared repository lock held, as Parents.
  Increments(repository::Repository& repository, const BackupOptions& options, JobNotes& notes, std::stop_token stop);

  // Nothing: read it all. Fills the entry's change map and reason, and adds what was read to compare. `frozen` is the
  // base behind `source`, which nobody writes to. Throws only Fault::cancelled: what else goes wrong is a reason.
  std::optional<Increment> choose(const std::string& domain_uuid, const PlannedDisk& disk,
                                  const disk::ImageInfo& frozen, disk::DiskSource& source,
                                  repository::ManifestDisk& entry);

 private:
  Choice choose_parent(const std::string& domain_uuid, const PlannedDisk& disk, const disk::ImageInfo& frozen);
  std::optional<Increment> make(const Parent& parent, const PlannedDisk& disk, const disk::ImageInfo& frozen,
                                disk::DiskSource& source, repository::ManifestDisk& entry);

  repository::Repository& repository_;
  const BackupOptions& options_;
  JobNotes& notes_;
  std::stop_token stop_;
  std::optional<Parents> parents_;
};

}  // namespace icecore::job
