// SPDX-License-Identifier: Apache-2.0
// The bitmaps of one backup: a new one before the instant, and the end of those it replaces once its point is there.
// Nothing here fails a backup: without a bitmap the next one reads more.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "disk/image.hpp"
#include "hypervisor/checkpoint.hpp"
#include "job/backup.hpp"
#include "job/backup_plan.hpp"
#include "job/job_notes.hpp"
#include "job/prepare_backup.hpp"

namespace icecore::job {

// Names the bitmaps in the plan: of the disks that can have one, of a running domain, unless a scan or a copy was asked
// for.
void plan_bitmaps(PreparedBackup& prepared, const BackupOptions& options, const std::string& point_id, bool running);

// One thread. What is referred to outlives it.
class DiskBitmaps {
 public:
  DiskBitmaps(hypervisor::Domain& domain, JobNotes& notes) : domain_(domain), notes_(notes) {}

  // Makes those the plan names, which is durable in the journal. When that fails, that is noted and the plan names
  // none any more. From now on they mark more than the point will lack, never less.
  void create(BackupPlan& plan);

  // After the point was published: removes the older ones of the same repository. `frozen` are the bases in the order
  // of the plan, as they were read. What cannot be removed is left to the next backup.
  void discard_older(const BackupPlan& plan, const std::vector<disk::ImageInfo>& frozen);

  // There will be no point.
  void discard_own(const BackupPlan& plan);

 private:
  hypervisor::Checkpoints& checkpoints();
  void discard(const std::string& name, const std::vector<std::string>& targets);
  void forget(const std::string& name);

  hypervisor::Domain& domain_;
  JobNotes& notes_;
  std::optional<hypervisor::Checkpoints> checkpoints_;
};

}  // namespace icecore::job
