// SPDX-License-Identifier: Apache-2.0
// libvirt's event loop on a thread of its own: it answers keepalives and wakes waiters. Events carry no news here,
// they only say "look again"; what is true stands in the domain's XML.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "base/clock.hpp"

struct _virConnect;

namespace icecore::hypervisor {

// Counts events. Thread-safe.
class EventFlag {
 public:
  std::uint64_t count() const;
  // Returns when the count is no longer `seen`, at the deadline or on stop, whichever comes first.
  void wait_beyond(std::uint64_t seen, base::Milliseconds deadline, std::stop_token stop) const;
  void raise();

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable_any changed_;
  std::uint64_t count_ = 0;
};

// libvirt has one event loop a process, so all connections share this one; the thread ends with the last of them.
class EventLoop {
 public:
  static std::shared_ptr<EventLoop> shared();
  // virConnectOpen(), and `then` on what was opened, with a deadline: Fault::unavailable when it passes. The caller
  // closes what it gets.
  _virConnect* open(const std::string& uri, base::Milliseconds deadline, std::function<void(_virConnect*)> then = {});
  virtual ~EventLoop() = default;
};

}  // namespace icecore::hypervisor
