// SPDX-License-Identifier: Apache-2.0
#include "job/stray_overlays.hpp"

#include <set>
#include <string>

#include "disk/image.hpp"

namespace icecore::job {

namespace {

// By their names, which hold domain, disk and run: one that was moved is still the job's.
std::set<std::string> overlays_of_open_jobs(Journal* journal, const std::string& domain_uuid) {
  std::set<std::string> names;
  if (journal == nullptr) return names;
  for (const JobRecord& job : journal->open_jobs(domain_uuid)) {
    if (job.kind == JobKind::restore) continue;
    for (const PlannedDisk& disk : parse_backup_plan(job.plan, job.id).disks)
      names.insert(disk.overlay_path.filename().string());
  }
  return names;
}

}  // namespace

BackupPlan stray_plan(hypervisor::Domain& domain, Journal* journal) {
  const hypervisor::DomainModel model = domain.model();
  const std::set<std::string> known = overlays_of_open_jobs(journal, model.uuid);
  BackupPlan plan;
  plan.transient = !domain.persistent();
  for (const hypervisor::DiskModel& disk : model.disks) {
    if (!is_our_overlay(disk.source.path, model.uuid)) continue;
    if (known.contains(std::filesystem::path(disk.source.path).filename().string())) continue;
    const disk::ImageInfo overlay = disk::inspect_image(disk.source.path, "qcow2");
    if (!overlay.backing) continue;
    plan.disks.push_back({disk.target, overlay.backing_format, *overlay.backing, disk.source.path,
                          disk::fingerprint_chain(*overlay.backing, overlay.backing_format)});
    plan.disks.back().encryption = disk.encryption;
  }
  return plan;
}

}  // namespace icecore::job
