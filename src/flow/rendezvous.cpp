// SPDX-License-Identifier: Apache-2.0
#include "flow/rendezvous.hpp"

namespace icecore::flow {

bool Rendezvous::meet() {
  std::unique_lock lock(mutex_);
  if (abandoned_) return false;
  const unsigned meeting = meetings_;
  if (++waiting_ == parties_) {
    waiting_ = 0;
    ++meetings_;
    changed_.notify_all();
    return true;
  }
  changed_.wait_for(lock, deadline_, [&] { return meetings_ != meeting || abandoned_; });
  if (meetings_ != meeting) return true;
  abandoned_ = true;
  changed_.notify_all();
  return false;
}

void Rendezvous::abandon() noexcept {
  {
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
  }
  changed_.notify_all();
}

}  // namespace icecore::flow
