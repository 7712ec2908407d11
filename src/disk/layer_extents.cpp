// SPDX-License-Identifier: Apache-2.0
#include "disk/layer_extents.hpp"

#include "disk/dirty_bitmap.hpp"
#include "disk/image_map.hpp"

namespace icecore::disk {

std::vector<Extent> read_layer_extents(const ImageInfo& layer, std::uint64_t block_size, const std::stop_token& stop) {
  ImageMap map(layer.path, layer.format);
  DirtyExtents held(layer.virtual_size, block_size);
  while (const auto entry = map.next_entry(stop)) {
    if (entry->depth == 0 && entry->extent.length > 0) held.add({entry->extent.offset, entry->extent.length});
  }
  return held.take();
}

}  // namespace icecore::disk
