// SPDX-License-Identifier: Apache-2.0
// What the top layer of a frozen chain holds itself: all that was written since it was put over the layers below.
#pragma once

#include <cstdint>
#include <stop_token>
#include <vector>

#include "disk/extent.hpp"
#include "disk/image.hpp"

namespace icecore::disk {

// Data and zeros alike, in ascending order, widened to whole blocks of `block_size`, and into coarser ones when they
// would be too many (DirtyExtents). As `qemu-img map` tells, which has not seen what a QEMU at work on the layer still
// keeps in memory: only of one nobody writes to. Faults as ImageMap.
std::vector<Extent> read_layer_extents(const ImageInfo& layer, std::uint64_t block_size, const std::stop_token& stop);

}  // namespace icecore::disk
