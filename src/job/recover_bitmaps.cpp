// SPDX-License-Identifier: Apache-2.0
#include "job/recover_bitmaps.hpp"

#include "base/error.hpp"
#include "base/log.hpp"
#include "hypervisor/checkpoint.hpp"

namespace icecore::job {

std::string bitmap_of(const BackupPlan& plan) {
  for (const PlannedDisk& disk : plan.disks) {
    if (!disk.bitmap.empty()) return disk.bitmap;
  }
  return "";
}

std::vector<std::string> targets_with_bitmap(const BackupPlan& plan) {
  std::vector<std::string> targets;
  for (const PlannedDisk& disk : plan.disks) {
    if (!disk.bitmap.empty()) targets.push_back(disk.target);
  }
  return targets;
}

std::vector<std::string> checkpoints_of_ours(hypervisor::Domain& domain, const std::string& prefix) {
  std::vector<std::string> names = hypervisor::known_checkpoints(domain);
  std::erase_if(names, [&](const std::string& name) { return !name.starts_with(prefix); });
  return names;
}

std::vector<std::string> forget_checkpoints(hypervisor::Domain& domain, const std::string& prefix, bool dry_run) {
  std::vector<std::string> actions;
  for (const std::string& name : checkpoints_of_ours(domain, prefix))
    actions.push_back(fmt::format("let libvirt forget checkpoint '{}'", name));
  if (dry_run || actions.empty()) return actions;
  try {
    hypervisor::Checkpoints(domain).forget(prefix);
  } catch (const base::Error& error) {
    if (error.fault() == base::Fault::cancelled) throw;
    actions.back() = fmt::format("libvirt still knows checkpoint '{}...': {}", prefix, error.what());
  }
  return actions;
}

// libvirt is told of the checkpoint again and removes its bitmaps; it may have been killed before they were there.
std::vector<std::string> give_bitmaps_up(hypervisor::Domain& domain, const BackupPlan& plan, bool dry_run) {
  const std::string name = bitmap_of(plan);
  if (name.empty()) return {};
  std::vector<std::string> actions = forget_checkpoints(domain, name, dry_run);
  if (dry_run) return actions;
  try {
    if (domain.active()) hypervisor::Checkpoints(domain).discard(name, targets_with_bitmap(plan));
  } catch (const base::Error& error) {
    if (error.fault() == base::Fault::cancelled) throw;
    base::log_info("the bitmap '{}' stays for now: {}", name, error.what());
  }
  return actions;
}

}  // namespace icecore::job
