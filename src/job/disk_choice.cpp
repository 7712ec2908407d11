// SPDX-License-Identifier: Apache-2.0
#include "job/disk_choice.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/shell_word.hpp"

namespace icecore::job {

using base::Fault;
using hypervisor::Verdict;

namespace {

bool named(const std::vector<std::string>& targets, const std::string& target) {
  return std::find(targets.begin(), targets.end(), target) != targets.end();
}

}  // namespace

hypervisor::DiskVerdict choose_disk(const hypervisor::DiskModel& disk, bool running, const BackupOptions& options) {
  if (named(options.exclude_disks, disk.target)) return {Verdict::skip, "left out by request"};
  if (!options.include_disks.empty() && !named(options.include_disks, disk.target))
    return {Verdict::skip, "not among the disks asked for"};
  return hypervisor::classify(disk, running);
}

base::Error refusal(const std::string& target, const hypervisor::DiskVerdict& verdict) {
  if (verdict.verdict == Verdict::busy)
    return base::Error(Fault::busy, fmt::format("disk '{}': {}", target, verdict.reason));
  base::Error error(Fault::conflict, fmt::format("disk '{}' cannot be backed up: {}", target, verdict.reason));
  return error.add_hint(how_to_leave_out(target));
}

std::string how_to_leave_out(const std::string& target) {
  return fmt::format("leave it out: --exclude-disk {0}, in a policy <exclude target=\"{0}\"/>",
                     base::shell_word(target));
}

std::vector<const hypervisor::DiskModel*> only_at_next_start(const hypervisor::DomainModel& now,
                                                             const hypervisor::DomainModel& next,
                                                             const BackupOptions& options) {
  std::vector<const hypervisor::DiskModel*> disks;
  for (const hypervisor::DiskModel& disk : next.disks) {
    const bool is_wanted = choose_disk(disk, false, options).verdict != Verdict::skip;
    if (is_wanted && now.find_disk(disk.target) == nullptr) disks.push_back(&disk);
  }
  return disks;
}

void require_known_targets(const hypervisor::DomainModel& model, const BackupOptions& options) {
  for (const auto* targets : {&options.include_disks, &options.exclude_disks}) {
    for (const std::string& target : *targets) {
      if (model.find_disk(target) != nullptr) continue;
      base::Error error(Fault::usage, fmt::format("domain '{}' has no disk '{}'", model.name, target));
      throw error.add_hint(fmt::format("`virsh domblklist {}` shows its disks", base::shell_operand(model.name)));
    }
  }
}

}  // namespace icecore::job
