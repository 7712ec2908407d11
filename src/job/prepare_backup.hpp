// SPDX-License-Identifier: Apache-2.0
// Everything a backup can find out before it touches the guest: which disks, their chains, their overlays'
// names and room. What cannot work is refused here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "disk/image.hpp"
#include "hypervisor/domain.hpp"
#include "job/backup.hpp"
#include "job/backup_plan.hpp"
#include "job/off_consistency.hpp"

namespace icecore::job {

struct PreparedBackup {
  BackupPlan plan;
  hypervisor::DomainModel model;
  std::vector<disk::ImageInfo> images;  // of the bases, in the order of plan.disks
  std::vector<disk::ImageInfo> homes;   // the same, but for a disk on a kept layer the image below it
  std::vector<std::string> notes;
  std::vector<repository::SkippedDisk> skipped;
  std::string current_xml;
  std::string inactive_xml;           // empty for a transient domain
  std::optional<OffConsistency> off;  // empty: the domain is active
  bool pauses = false;                // while its memory is saved
};

// Changes nothing. Fault::usage (unknown disk named, nothing to back up), conflict (a suspended domain, a disk that
// cannot be taken, a next start with other images, an overlay of ours still there), busy (block job), no_space,
// unavailable (off, and not as `options` require it).
PreparedBackup prepare_backup(hypervisor::Domain& domain, const BackupOptions& options, const std::string& job_id);

}  // namespace icecore::job
