// SPDX-License-Identifier: Apache-2.0
#include "disk/device_identity.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fstream>

namespace icecore::disk {

namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  return line;
}

// `folder` is the device's in sysfs.
std::string identity_in(const fs::path& folder) {
  for (const char* name : {"dm/uuid", "loop/backing_file", "wwid", "device/wwid", "serial", "device/serial"}) {
    if (const std::string line = first_line(folder / name); !line.empty()) return line;
  }
  return {};
}

}  // namespace

std::string device_identity(const fs::path& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISBLK(status.st_mode)) return {};
  std::error_code failure;
  const fs::path folder =
      fs::canonical(fmt::format("/sys/dev/block/{}:{}", ::major(status.st_rdev), ::minor(status.st_rdev)), failure);
  if (failure) return {};
  const std::string part = first_line(folder / "partition");
  if (part.empty()) return identity_in(folder);
  const std::string disk = identity_in(folder.parent_path());
  return disk.empty() ? std::string() : disk + " partition " + part;
}

bool is_same_image(const fs::path& one, const fs::path& other) {
  struct stat a = {};
  struct stat b = {};
  if (::stat(one.c_str(), &a) != 0 || ::stat(other.c_str(), &b) != 0) return false;
  if (S_ISBLK(a.st_mode) && S_ISBLK(b.st_mode)) return a.st_rdev == b.st_rdev;
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace icecore::disk
