// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/file_identity.hpp"

#include <sys/stat.h>

#include "base/error.hpp"
#include "flow/within.hpp"

namespace icecore::hypervisor {

namespace {

FileIdentity look_at(const std::filesystem::path& path) {
  FileIdentity found;
  struct stat status = {};
  if (::stat(path.c_str(), &status) == 0) {
    found.exists = true;
    found.file_system = status.st_dev;
    found.inode = status.st_ino;
    if (S_ISBLK(status.st_mode)) found.device = status.st_rdev;
  }
  std::error_code error;
  found.canonical = std::filesystem::weakly_canonical(path, error);
  if (error) found.canonical.clear();
  return found;
}

}  // namespace

FileIdentity identify(const std::filesystem::path& path, base::Milliseconds deadline) {
  const auto found = flow::within<FileIdentity>(deadline, [path] { return look_at(path); });
  if (found) return *found;
  base::Error error(
      base::Fault::unavailable,
      fmt::format("the file system of '{}' does not answer, and what lies there has to be known", path.string()));
  throw error.add_hint("bring its server back, or take it away: umount --force --lazy MOUNT-POINT");
}

bool is_same(const FileIdentity& one, const FileIdentity& other) {
  if (one.exists && other.exists) {
    if (one.file_system == other.file_system && one.inode == other.inode) return true;
    if (one.device != 0 && one.device == other.device) return true;
  }
  return !one.canonical.empty() && one.canonical == other.canonical;
}

}  // namespace icecore::hypervisor
