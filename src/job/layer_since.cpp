// SPDX-License-Identifier: Apache-2.0
#include "job/layer_since.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "disk/image.hpp"

namespace icecore::job {

std::string describe_layer(const std::filesystem::path& layer) {
  const std::string size = base::format_size(disk::inspect_image(layer, "qcow2").actual_size);
  struct statx file = {};
  const bool known = ::statx(AT_FDCWD, layer.c_str(), 0, STATX_BTIME, &file) == 0 && (file.stx_mask & STATX_BTIME) != 0;
  if (!known) return size;
  return fmt::format("{} since {}", size,
                     base::format_time(base::Timestamp(std::chrono::seconds(file.stx_btime.tv_sec))));
}

}  // namespace icecore::job
