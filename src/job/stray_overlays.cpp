// SPDX-License-Identifier: Apache-2.0
#include "job/stray_overlays.hpp"

#include "disk/image.hpp"

namespace icecore::job {

BackupPlan stray_plan(hypervisor::Domain& domain) {
  const hypervisor::DomainModel model = domain.model();
  BackupPlan plan;
  plan.transient = !domain.persistent();
  for (const hypervisor::DiskModel& disk : model.disks) {
    if (!is_our_overlay(disk.source.path, model.uuid)) continue;
    const disk::ImageInfo overlay = disk::inspect_image(disk.source.path, "qcow2");
    if (!overlay.backing) continue;
    plan.disks.push_back({disk.target, overlay.backing_format, *overlay.backing, disk.source.path,
                          disk::fingerprint_chain(*overlay.backing, overlay.backing_format)});
    plan.disks.back().encryption = disk.encryption;
  }
  return plan;
}

}  // namespace icecore::job
