// SPDX-License-Identifier: Apache-2.0
#include "disk/raw_target.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "disk/block_device.hpp"
#include "disk/zero_runs.hpp"

namespace icecore::disk {

namespace {

constexpr std::size_t k_page = 4 * base::k_kib;           // what file systems allocate
constexpr std::uint64_t k_zero_step = 256 * base::k_mib;  // between two looks whether to stop

}  // namespace

RawTarget::RawTarget(const TargetOptions& options)
    : path_(options.image),
      device_(options.device),
      file_(device_ ? claim_device(path_) : base::open_file(path_, O_RDWR)),
      size_(device_ ? device_size(path_) : 0) {
  for (unsigned i = 0; i < options.writers; ++i) writers_.emplace_back(file_.get(), options);
}

void RawTarget::zero(std::uint64_t from, std::uint64_t to, const std::stop_token& stop) {
  if (!device_) return;
  for (to = std::min(to, size_); from < to; from += std::min(k_zero_step, to - from)) {
    if (stop.stop_requested()) base::fail(base::Fault::cancelled, "writing '{}' was interrupted", path_.string());
    base::with_context([&] { zero_device(file_.get(), from, std::min(to, from + k_zero_step)); }, "write '{}'",
                       path_.string());
  }
}

void RawTarget::finish(const std::stop_token&) {
  if (::fsync(file_.get()) != 0) base::fail_errno(errno, "fsync '" + path_.string() + "'");
  file_.reset();
  if (!device_) base::sync_folder(path_.parent_path());
}

void RawTarget::Writer::write(std::uint64_t offset, base::ByteView bytes, const std::stop_token& stop) {
  if (stop.stop_requested()) base::fail(base::Fault::cancelled, "writing '{}' was interrupted", path_.string());
  if (device_) return write_run(offset, bytes);
  for_each_nonzero_run(offset, bytes, k_page, [&](std::uint64_t at, base::ByteView run) { write_run(at, run); });
}

void RawTarget::Writer::write_run(std::uint64_t offset, base::ByteView bytes) {
  const Extent written{offset, bytes.size()};
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) base::fail_errno(errno, fmt::format("write '{}' at {}", path_.string(), offset));
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  base::with_context([&] { behind_.add(written); }, "write '{}'", path_.string());
}

}  // namespace icecore::disk
