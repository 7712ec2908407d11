// SPDX-License-Identifier: Apache-2.0
#include "disk/write_behind.hpp"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "base/bytes.hpp"
#include "base/error.hpp"

namespace icecore::disk {

namespace {

constexpr std::uint64_t k_batch_bytes = 8 * base::k_mib;
constexpr std::size_t k_batches_max = 4;  // on their way at a time, a writer

void sync_range(int fd, const Extent& range, unsigned how) {
  if (::sync_file_range(fd, static_cast<off_t>(range.offset), static_cast<off_t>(range.length), how) == 0) return;
  // Where the call does not exist the final fsync does all the work.
  if (errno != ESPIPE && errno != EINVAL && errno != ENOSYS) base::fail_errno(errno, "write back");
}

}  // namespace

void WriteBehind::add(Extent written) {
  if (!current_.ranges.empty() && current_.ranges.back().end() == written.offset) {
    current_.ranges.back().length += written.length;
  } else {
    current_.ranges.push_back(written);
  }
  current_.bytes += written.length;
  if (current_.bytes < k_batch_bytes) return;
  start(current_);
  on_their_way_.push_back(std::exchange(current_, {}));
  if (on_their_way_.size() <= k_batches_max) return;
  finish(on_their_way_.front());
  on_their_way_.pop_front();
}

void WriteBehind::start(const Batch& batch) {
  for (const Extent& range : batch.ranges) sync_range(fd_, range, SYNC_FILE_RANGE_WRITE);
}

void WriteBehind::finish(const Batch& batch) {
  constexpr unsigned k_all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  for (const Extent& range : batch.ranges) {
    sync_range(fd_, range, k_all);
    ::posix_fadvise(fd_, static_cast<off_t>(range.offset), static_cast<off_t>(range.length), POSIX_FADV_DONTNEED);
  }
}

}  // namespace icecore::disk
