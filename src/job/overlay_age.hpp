// SPDX-License-Identifier: Apache-2.0
// Whether an overlay that a disk's definition still names, or names no more, is out of date: what the definition alone
// does not tell.
#pragma once

#include "hypervisor/domain_model.hpp"
#include "job/backup_plan.hpp"

namespace icecore::job {

// True when the disk, which has the image `now`, lies over its base again with something newer between: an overlay is
// unlinked last of all, once the disk was seen on its base, and what lies over that came later, as the layer of another
// backup. The base, if it was a layer itself, may be in its home meanwhile.
bool has_moved_on(const hypervisor::ImageSource& now, const PlannedDisk& disk);

// Whether the overlay in the definition `model` of a shut-off domain may be older than its base: its merge was about to
// end. A pivot writes the base into a definition that names it below the overlay, and only we into another, after that.
bool may_be_out_of_date(const hypervisor::DomainModel& model, const PlannedDisk& disk);

}  // namespace icecore::job
