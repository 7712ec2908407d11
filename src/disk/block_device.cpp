// SPDX-License-Identifier: Apache-2.0
#include "disk/block_device.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/bytes.hpp"
#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/shell_word.hpp"

namespace icecore::disk {

namespace {

using base::Fault;

void write_zeros(int device, std::uint64_t from, std::uint64_t to) {
  static constexpr std::array<std::byte, 64 * base::k_kib> k_zeros{};
  while (from < to) {
    const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(to - from, k_zeros.size()));
    const ssize_t count = ::pwrite(device, k_zeros.data(), length, static_cast<off_t>(from));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) base::fail_errno(errno, fmt::format("write zeros at {}", from));
    from += static_cast<std::uint64_t>(count);
  }
}

}  // namespace

base::Fd claim_device(const std::filesystem::path& device) {
  const int fd = ::open(device.c_str(), O_RDWR | O_EXCL | O_CLOEXEC);
  if (fd >= 0) return base::Fd(fd);
  if (errno != EBUSY) base::fail_errno(errno, "open device '" + device.string() + "' for writing");
  base::Error error(Fault::busy, fmt::format("device '{}' is in use: mounted, swapped to, or part of a volume group, "
                                             "an array or a mapping",
                                             device.string()));
  throw error.add_hint("lsblk " + base::shell_operand(device.string()));
}

std::uint64_t device_size(const std::filesystem::path& device) {
  const base::Fd file = base::open_file(device, O_RDONLY);
  std::uint64_t bytes = 0;
  if (::ioctl(file.get(), BLKGETSIZE64, &bytes) != 0)
    base::fail_errno(errno, "ask for the size of device '" + device.string() + "'");
  return bytes;
}

void zero_device(int device, std::uint64_t from, std::uint64_t to) {
  if (from >= to) return;
  std::uint64_t range[2] = {from, to - from};
  if (::ioctl(device, BLKZEROOUT, range) == 0) return;
  // Not whole sectors of the device, or a driver without it.
  if (errno != EINVAL && errno != EOPNOTSUPP && errno != ENOTTY) base::fail_errno(errno, "zero a range of the device");
  write_zeros(device, from, to);
}

}  // namespace icecore::disk
