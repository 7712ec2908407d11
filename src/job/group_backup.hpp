// SPDX-License-Identifier: Apache-2.0
// Backup of several domains at one instant: all are frozen, all snapshots are taken, all are thawed; then one after
// the other is read, and merged back. The points name each other and are otherwise like any.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "job/backup.hpp"

namespace icecore::job {

struct GroupMemberReport {
  std::string domain;
  std::optional<BackupReport> report;  // when its point exists
  std::optional<base::Error> error;    // when something went wrong
};

// Until all snapshots are taken one failure is everybody's: the others are put back, and this throws. Afterwards each
// stands for itself: one that cannot be read leaves the others' points, whose group is then incomplete. A guest that
// cannot be frozen fails the group when `options` require freezing, else its own point is crash consistent.
// The members come back in the order of `domains`, of which there are at least two different ones (Fault::usage).
std::vector<GroupMemberReport> run_group_backup(const JobContext& context, repository::Repository& repository,
                                                const std::vector<std::string>& domains, const BackupOptions& options);

}  // namespace icecore::job
