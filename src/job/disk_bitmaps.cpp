// SPDX-License-Identifier: Apache-2.0
#include "job/disk_bitmaps.hpp"

#include <map>

#include "base/error.hpp"
#include "base/log.hpp"
#include "job/bitmap_name.hpp"
#include "job/change_map.hpp"
#include "job/recover_bitmaps.hpp"

namespace icecore::job {

void plan_bitmaps(PreparedBackup& prepared, const BackupOptions& options, const std::string& point_id, bool running) {
  if (!running || options.copy || options.change_map == ChangeMap::scan) return;
  for (std::size_t i = 0; i < prepared.plan.disks.size(); ++i) {
    // Not where a layer tells, nor into one: it would be merged away from under it.
    if (prepared.plan.disks[i].keeps_overlay || !prepared.plan.disks[i].home.path.empty()) continue;
    if (no_bitmap_reason(prepared.images[i]).empty())
      prepared.plan.disks[i].bitmap = bitmap_name(prepared.plan.repository_id, point_id);
  }
}

void DiskBitmaps::create(BackupPlan& plan) {
  const std::string name = bitmap_of(plan);
  if (name.empty()) return;
  try {
    checkpoints().forget(k_bitmap_prefix);
    checkpoints().create(name, targets_with_bitmap(plan));
  } catch (const base::Error& error) {
    notes_.add(fmt::format("the next backup will read the disks in full: no bitmap could be made ({})", error.what()));
    for (const std::string& action : give_bitmaps_up(domain_, plan, false)) base::log_info("{}", action);
    for (PlannedDisk& disk : plan.disks) disk.bitmap.clear();
  }
}

void DiskBitmaps::discard_older(const BackupPlan& plan, const std::vector<disk::ImageInfo>& frozen) {
  const std::string prefix = bitmap_prefix_of(plan.repository_id);
  std::map<std::string, std::vector<std::string>> older;  // name -> disks that have it
  for (std::size_t i = 0; i < frozen.size(); ++i) {
    const PlannedDisk& disk = plan.disks[i];
    // Without a new one the last one goes on, unless it stands in somebody's way.
    if (disk.bitmap.empty() && frozen[i].internal_snapshots.empty()) continue;
    for (const disk::ImageBitmap& bitmap : frozen[i].bitmaps) {
      if (bitmap.name.starts_with(prefix) && bitmap.name != disk.bitmap) older[bitmap.name].push_back(disk.target);
    }
  }
  for (const auto& [name, targets] : older) discard(name, targets);
}

void DiskBitmaps::discard_own(const BackupPlan& plan) {
  if (const std::string name = bitmap_of(plan); !name.empty()) discard(name, targets_with_bitmap(plan));
}

void DiskBitmaps::discard(const std::string& name, const std::vector<std::string>& targets) {
  try {
    if (domain_.active()) checkpoints().discard(name, targets);
  } catch (const base::Error& error) {
    base::log_warning("the bitmap '{}' stays for now: {}", name, error.what());
    forget(name);
  }
}

// libvirt had been told of it again, and refuses an undefine while it knows.
void DiskBitmaps::forget(const std::string& name) {
  try {
    for (const std::string& action : forget_checkpoints(domain_, name, false)) base::log_info("{}", action);
  } catch (const base::Error& error) {
    base::log_warning("libvirt may still know checkpoint '{}': {}", name, error.what());
  }
}

hypervisor::Checkpoints& DiskBitmaps::checkpoints() {
  if (!checkpoints_) checkpoints_.emplace(domain_);
  return *checkpoints_;
}

}  // namespace icecore::job
