// SPDX-License-Identifier: Apache-2.0
// What a point remembers of the layer it leaves, to be known again by the next one.
#pragma once

#include <string>

#include "disk/chain_fingerprint.hpp"
#include "job/backup_plan.hpp"
#include "repository/repository.hpp"

namespace icecore::job {

// Which files the disk will be made of: `chain` begins with the layer and its home, of which paths, formats and inodes
// count; of what lies below, which nobody writes to, also sizes and times. Keyed as lineage_of().
std::string lineage_on_layer(const repository::Repository& repository, const disk::ChainFingerprint& chain);

// The chain once the plan's overlay, which is there, is the disk's layer, and its base merged if that was one.
disk::ChainFingerprint chain_on_new_layer(const PlannedDisk& disk);

}  // namespace icecore::job
