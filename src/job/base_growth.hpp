// SPDX-License-Identifier: Apache-2.0
// A disk that was grown on its overlay makes the merge grow the base, which QEMU refuses while the base has an
// inconsistent bitmap: one that a killed QEMU left (qcow2_truncate_bitmaps_check() in block/qcow2-bitmap.c).
#pragma once

#include "hypervisor/domain.hpp"
#include "job/merge_checks.hpp"

namespace icecore::job {

// Takes such bitmaps out of a base that is smaller than its overlay: ours, which nothing can count from any more.
// `running` is the domain that has both images open, with no block job on them; null: nobody has them open. Throws
// Fault::conflict where another tool's bitmap is in the way, busy where somebody opened the base; then nothing but
// bitmaps that are of no use is missing.
void let_base_grow(const MergePair& pair, hypervisor::Domain* running);

}  // namespace icecore::job
