// SPDX-License-Identifier: Apache-2.0
// How the stored image of a disk is read and written.
#pragma once

#include <string>

#include "repository/manifest.hpp"

namespace icecore::job {

// A disk that is stored as its file is read and written like a raw image, whatever `format` the file has.
inline std::string content_format(const repository::ManifestDisk& disk, const std::string& format) {
  return disk.content == repository::DiskContent::file ? "raw" : format;
}

}  // namespace icecore::job
