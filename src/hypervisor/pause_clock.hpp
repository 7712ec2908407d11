// SPDX-License-Identifier: Apache-2.0
// How long a domain's vCPUs stand still during a call of libvirt's, by its lifecycle events.
#pragma once

#include <memory>

#include "base/clock.hpp"

struct _virDomain;

namespace icecore::hypervisor {

// From its making on. One a connection at a time; the connection's event loop must run.
class PauseClock {
 public:
  explicit PauseClock(_virDomain* domain);
  PauseClock(const PauseClock&) = delete;
  PauseClock& operator=(const PauseClock&) = delete;
  ~PauseClock();

  // The sum so far, each time at least 1 ms. An event that is still on its way is waited for, at most two seconds; with
  // `has_stood_still`, which the caller knows, also when none has come yet. A domain that stays paused counts until
  // now.
  base::Milliseconds paused(bool has_stood_still);

 private:
  struct State;
  _virDomain* domain_;
  std::shared_ptr<State> state_;
  int callback_ = -1;
};

}  // namespace icecore::hypervisor
