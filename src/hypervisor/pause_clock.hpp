// SPDX-License-Identifier: Apache-2.0
// How long a domain's vCPUs stand still during a call of libvirt's, by its lifecycle events.
#pragma once

#include <memory>
#include <string>

#include "base/clock.hpp"
#include "hypervisor/event_listener.hpp"

namespace icecore::hypervisor {

class PauseClock {
 public:
  // Listens when it returns, unless libvirt lets nobody; then nothing is counted.
  PauseClock(const std::string& uri, const std::string& domain_uuid);

  // Counts from now on.
  void restart();
  // The sum so far, each time at least 1 ms, of a domain that has stood still: an event that is still on its way is
  // waited for, at most two seconds. One that stays paused counts until now.
  base::Milliseconds paused();

 private:
  struct State;
  std::shared_ptr<State> state_;
  EventListener listener_;
};

}  // namespace icecore::hypervisor
