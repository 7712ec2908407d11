// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/commit_watch.hpp"

#include "base/error.hpp"

namespace icecore::hypervisor {

using base::Fault;

void CommitWatch::look(BlockJobProgress sum, std::size_t disks_done) {
  if (progress_) progress_(sum.done, sum.total);
  if (sum.done != last_.done || sum.total != last_.total || disks_done != last_done_) {
    since_change_ = base::Stopwatch();
    last_ = sum;
    last_done_ = disks_done;
  } else if (since_change_.elapsed() > stall_deadline_) {
    base::fail(Fault::unavailable, "{} has not moved for {} s at {} of {} bytes", what_, stall_deadline_.count() / 1000,
               sum.done, sum.total);
  }
}

void count_start(int& starts, const std::string& what, const std::string& domain_name) {
  constexpr int k_starts_max = 3;
  if (++starts <= k_starts_max) return;
  base::Error error(Fault::unavailable, fmt::format("{} ended {} times without success", what, k_starts_max));
  throw error.add_hint(
      fmt::format("is there space for it? QEMU's own words: /var/log/libvirt/qemu/{}.log", domain_name));
}

}  // namespace icecore::hypervisor
