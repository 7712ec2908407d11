// SPDX-License-Identifier: Apache-2.0
// Whether what restores write fits, by file system: two folders may be on one, and so may the members of a group.
#pragma once

#include <string>
#include <vector>

#include "job/restore_plan.hpp"

namespace icecore::job {

// Of every file the restore writes, the memory included; devices need none.
std::vector<RoomNeed> room_needed(const PreparedRestore& prepared);

// `restores` follow each other: what the old files of one give back is there for the next. Fault::no_space when a file
// system has less room than they will take. --to DIR need not be there yet.
void require_room(const std::vector<std::vector<RoomNeed>>& restores);

// What each disk needs and there is, for people: "needs 1.2 GiB, 20 GiB free". `bytes`: PreparedRestore::disk_bytes.
std::string describe_room(const PlannedFile& file, const repository::ManifestDisk& disk, std::uint64_t bytes);

}  // namespace icecore::job
