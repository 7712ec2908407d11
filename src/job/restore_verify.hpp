// SPDX-License-Identifier: Apache-2.0
// Reads a restored disk as QEMU will, names its blocks anew and compares them with the restore point's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "repository/image_tree.hpp"
#include "repository/repository.hpp"

namespace icecore::job {

// Fault::corrupt names the first byte that differs. A disk may be longer than the image (a larger device) when the rest
// is zero. `lost` blocks have to be zero. `on_read` is called from worker threads, one at a time, with the bytes read
// so far.
void verify_image(repository::Repository& repository, const repository::ImageRoot& image,
                  const std::vector<repository::BlockRange>& lost, const std::filesystem::path& path,
                  const std::string& format, const std::function<void(std::uint64_t)>& on_read, std::stop_token stop);

}  // namespace icecore::job
