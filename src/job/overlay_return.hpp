// SPDX-License-Identifier: Apache-2.0
// Brings a domain back from its overlays to its bases, whatever became of it meanwhile: running (block
// commit), shut off (qemu-img commit and new persistent XML), started or stopped while we are at it. Used by
// the backup's own commit, by its abort, and by recover: there is one way down, and it can be entered again.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "hypervisor/connection.hpp"
#include "job/backup_plan.hpp"
#include "job/progress.hpp"

namespace icecore::job {

struct ReturnedDisk {
  std::string target;
  std::string action;  // "was on its base", "merged while running", "merged offline"
};

// Keeps a plan that has changed, durably when it returns.
using StorePlan = std::function<void(const BackupPlan&)>;

// Ends what libvirt may still be at for a backup that died, such as saving memory: it would put the domain on overlays
// later. Waits for a snapshot under way, and gives the domain its own downtime limit back.
void end_capture(hypervisor::Connection& connection, const std::string& domain_uuid, const BackupPlan& plan);

// The file with the guest's memory, if there is one.
void remove_memory(const BackupPlan& plan);

// When it returns, the domain's live and persistent XML show every disk of the plan on its base and the
// overlays are unlinked. Throws otherwise, with the overlays untouched: Fault::conflict when somebody put
// another image on top or the files do not fit the plan, busy when another block job is in the way. Also conflict,
// with the other disks on their bases, when one was detached from the domain and its overlay is there, or when somebody
// else put one on its base though its overlay was written to.
// The plan learns, before it happens, that bases may become newer than their overlays. `store` may be empty for a plan
// that no journal has.
std::vector<ReturnedDisk> return_to_bases(hypervisor::Connection& connection, const std::string& domain_uuid,
                                          BackupPlan& plan, const StorePlan& store, Progress& progress,
                                          std::stop_token stop);

}  // namespace icecore::job
