// SPDX-License-Identifier: Apache-2.0
// Whether a base has come into use without its overlay: then the two have parted, and merging them would destroy both.
// Asked when the domain, whose XML would tell, is gone.
#pragma once

#include <cstdint>
#include <filesystem>

#include "hypervisor/connection.hpp"
#include "job/backup_plan.hpp"

namespace icecore::job {

// When a file was last written to, in ns since 1970; 0 for a device, whose node does not tell.
std::int64_t last_written_ns(const std::filesystem::path& file);

// That of each base and home is noted: call it when the snapshot was taken.
void note_frozen_bases(BackupPlan& plan);

// Fault::conflict when a base, or the home below it, may have been written to while it was read: what was read is of no
// instant. `ran`: a QEMU had them at the snapshot. It stores its bitmaps there when it ends, so that the time of
// writing tells nothing then, and lets nobody else write before; the domain must be on our overlay still.
void require_unwritten(hypervisor::Connection& connection, const std::string& domain_uuid, const BackupPlan& plan,
                       bool ran);

// A domain has it, or, unless a merge of ours may have, somebody has written to it since note_frozen_bases().
bool base_was_used(hypervisor::Connection& connection, const PlannedDisk& disk);
// The same of the home of a disk on kept layers, and the merge of a layer into it.
bool home_was_used(hypervisor::Connection& connection, const PlannedDisk& disk);

// Fault::conflict when some domain has an overlay or layer of ours, and decides what becomes of it. `domain_uuid`: of
// the one it was made for.
void require_image_unused(hypervisor::Connection& connection, const std::filesystem::path& image,
                          const std::string& domain_uuid);

}  // namespace icecore::job
