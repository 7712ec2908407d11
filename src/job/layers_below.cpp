// SPDX-License-Identifier: Apache-2.0
#include "job/layers_below.hpp"

#include "base/error.hpp"
#include "base/log.hpp"
#include "disk/image.hpp"

namespace icecore::job {

std::vector<std::string> layers_below(const std::string& path, const std::string& format) {
  constexpr std::size_t k_depth_max = 200;  // libvirt's limit
  std::vector<std::string> below;
  try {
    for (disk::ImageInfo layer = disk::inspect_image(path, format); layer.backing && below.size() < k_depth_max;
         layer = disk::inspect_image(layer.backing.value(), layer.backing_format)) {
      below.push_back(layer.backing->string());
      if (layer.backing_format.empty()) break;
    }
  } catch (const base::Error& error) {
    if (error.fault() == base::Fault::cancelled) throw;
    base::log_info("what lies below '{}' is not known: {}", path, error.what());
  }
  return below;
}

}  // namespace icecore::job
