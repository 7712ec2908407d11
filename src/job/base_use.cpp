// SPDX-License-Identifier: Apache-2.0
#include "job/base_use.hpp"

#include <sys/stat.h>

#include "base/error.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/file_use.hpp"
#include "job/layers_below.hpp"

namespace icecore::job {

std::int64_t last_written_ns(const std::filesystem::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) base::fail_errno(errno, "look at '" + file.string() + "'");
  if (!S_ISREG(status.st_mode)) return 0;
  return std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

void note_frozen_bases(BackupPlan& plan) {
  for (PlannedDisk& disk : plan.disks) disk.frozen_ns = last_written_ns(disk.base_path);
  plan.snapshotted = true;
}

bool base_was_used(hypervisor::Connection& connection, const PlannedDisk& disk) {
  const bool is_known = disk.merge == MergeState::unbegun && disk.frozen_ns != 0;
  if (is_known && last_written_ns(disk.base_path) > disk.frozen_ns) return true;
  return !hypervisor::users_of(connection, disk.base_path, layers_below).empty();
}

void require_overlay_unused(hypervisor::Connection& connection, const PlannedDisk& disk) {
  for (const hypervisor::FileUse& use : hypervisor::users_of(connection, disk.overlay_path, layers_below)) {
    base::Error error(base::Fault::conflict, fmt::format("our overlay '{}' is {} of domain '{}' now",
                                                         disk.overlay_path.string(), use.role, use.domain));
    throw error.add_hint(
        fmt::format("`virsh blockcommit {} {} --active --pivot` while that domain runs, then `icecore "
                    "recover`",
                    base::shell_operand(use.domain), disk.target));
  }
}

}  // namespace icecore::job
