// SPDX-License-Identifier: Apache-2.0
// Where a sealed backup leaves the disks: overlays that stay become the layers of the next backup, and the layers they
// lie over go into their homes; the other overlays are merged back. As overlay_return.hpp, it can be entered again at
// any moment, whether the domain runs, is shut off, or is started or stopped meanwhile.
#pragma once

#include <stop_token>
#include <vector>

#include "job/overlay_return.hpp"

namespace icecore::job {

// When it returns, the domain's XML, live and persistent, shows every disk of the plan on its base, or on its kept
// overlay directly over its home, and what was merged is unlinked. Throws otherwise, with nothing of the guest's lost:
// Fault::conflict when somebody changed the chain, busy when another block job is in the way. Plan and `store`: as
// return_to_bases().
std::vector<ReturnedDisk> settle_overlays(hypervisor::Connection& connection, const std::string& domain_uuid,
                                          BackupPlan& plan, const StorePlan& store, Progress& progress,
                                          std::stop_token stop);

}  // namespace icecore::job
