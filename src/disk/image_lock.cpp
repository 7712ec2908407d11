// SPDX-License-Identifier: Apache-2.0
#include "disk/image_lock.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "base/durable_file.hpp"
#include "base/log.hpp"

namespace icecore::disk {

namespace {

// RAW_LOCK_PERM_BASE and RAW_LOCK_SHARED_BASE, each with the bit number of BLK_PERM_WRITE added.
constexpr off_t k_writes = 100 + 1;
constexpr off_t k_shares_no_write = 200 + 1;

bool is_locked(int fd, off_t byte, const std::filesystem::path& image) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  if (::fcntl(fd, F_OFD_GETLK, &lock) == 0) return lock.l_type != F_UNLCK;
  base::log_debug("whether '{}' is open in a QEMU cannot be seen: {}", image.string(), std::strerror(errno));
  return false;
}

}  // namespace

bool is_open_in_qemu(const std::filesystem::path& image, ImageUser user) {
  const base::Fd fd = base::open_file(image, O_RDONLY | O_NONBLOCK);
  if (is_locked(fd.get(), k_writes, image)) return true;
  return user == ImageUser::any && is_locked(fd.get(), k_shares_no_write, image);
}

}  // namespace icecore::disk
