// SPDX-License-Identifier: Apache-2.0
#include "job/base_growth.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/shell_word.hpp"
#include "disk/dirty_bitmap.hpp"
#include "disk/image.hpp"
#include "hypervisor/checkpoint.hpp"
#include "job/bitmap_name.hpp"

namespace icecore::job {

using base::Fault;

namespace {

[[noreturn]] void fail_in_the_way(const MergePair& pair, const disk::ImageBitmap& bitmap) {
  base::Error error(
      Fault::conflict,
      fmt::format("disk '{}' was grown on its overlay, and '{}' cannot grow with it: its bitmap '{}', of another "
                  "program, is inconsistent",
                  pair.target, pair.base.string(), bitmap.name));
  throw error.add_hint(
      fmt::format("shut the domain down, then: qemu-img bitmap --remove -f {} {} {}, and icecore recover",
                  pair.base_format, base::shell_word(pair.base.string()), base::shell_word(bitmap.name)));
}

// Ours that are in the way. Of the base alone, since a bitmap of an image that is written to may be sound.
std::vector<std::string> bitmaps_in_the_way(const MergePair& pair, const disk::ImageInfo& base) {
  const auto broken = [](const disk::ImageBitmap& bitmap) { return bitmap.in_use; };
  if (std::none_of(base.bitmaps.begin(), base.bitmaps.end(), broken)) return {};
  if (disk::inspect_image(pair.overlay, "qcow2").virtual_size <= base.virtual_size) return {};
  std::vector<std::string> names;
  for (const disk::ImageBitmap& bitmap : base.bitmaps) {
    if (!broken(bitmap)) continue;
    if (!parse_bitmap_name(bitmap.name)) fail_in_the_way(pair, bitmap);
    base::log_info("the bitmap '{}' keeps '{}' from growing, and is of no use", bitmap.name, base.path.string());
    names.push_back(bitmap.name);
  }
  return names;
}

template <typename Remove>
void remove_from(const MergePair& pair, Remove&& remove) {
  if (pair.base_format != "qcow2") return;
  const disk::ImageInfo base = disk::inspect_image(pair.base, pair.base_format);
  for (const std::string& name : bitmaps_in_the_way(pair, base)) remove(base, name);
}

}  // namespace

void let_base_grow(const MergePair& pair) { remove_from(pair, disk::remove_bitmap); }

bool let_live_base_grow(const MergePair& pair, hypervisor::Domain& domain) {
  try {
    remove_from(pair, [&](const disk::ImageInfo&, const std::string& name) {
      hypervisor::Checkpoints(domain).discard(name, {pair.target});
    });
    return true;
  } catch (const base::Error&) {
    if (domain.active()) throw;
    return false;
  }
}

}  // namespace icecore::job
