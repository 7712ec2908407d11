// SPDX-License-Identifier: Apache-2.0
// A disk that was grown on its overlay makes the merge grow the base, which QEMU refuses while the base has an
// inconsistent bitmap: one that a killed QEMU left (qcow2_truncate_bitmaps_check() in block/qcow2-bitmap.c).
#pragma once

#include "hypervisor/domain.hpp"
#include "job/merge_checks.hpp"

namespace icecore::job {

// Takes such bitmaps out of a base that is smaller than its overlay: ours, which nothing can count from any more.
// Nobody has the images open. Throws Fault::conflict where another program's bitmap is in the way, busy where somebody
// opened the base; then nothing but bitmaps that are of no use is missing.
void let_base_grow(const MergePair& pair);

// The same where the running domain has both open, with no block job on them. False: it ended meanwhile.
bool let_live_base_grow(const MergePair& pair, hypervisor::Domain& domain);

}  // namespace icecore::job
