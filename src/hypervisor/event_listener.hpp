// SPDX-License-Identifier: Apache-2.0
// A connection that libvirt's events come in by, and no other call is made on. The daemon of libvirt 9.0 dies when a
// client that listens goes away just as a call of its is answered: the thread that answers and the one that sees it
// gone both free its callbacks (remoteClientFreePrivateCallbacks, without the lock that later versions take). So who
// may be killed at any time listens where nothing is ever answered.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.hpp"
#include "hypervisor/event_loop.hpp"

namespace icecore::hypervisor {

class EventListener {
 public:
  // Returns when `subscribe` has registered its callbacks on the new connection, on a thread of its own, or at the
  // deadline; then `subscribe` may still run later, so what it holds is its own. That nobody listens is only logged:
  // events hasten what would be looked at anyway.
  EventListener(const std::string& uri, base::Milliseconds deadline, std::function<void(_virConnect*)> subscribe);
  EventListener(const EventListener&) = delete;
  EventListener& operator=(const EventListener&) = delete;
  ~EventListener();

 private:
  std::shared_ptr<EventLoop> loop_;
  _virConnect* connection_ = nullptr;
};

}  // namespace icecore::hypervisor
