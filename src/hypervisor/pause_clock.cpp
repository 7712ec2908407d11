// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/pause_clock.hpp"

#include <libvirt/libvirt.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>

namespace icecore::hypervisor {

struct PauseClock::State {
  std::mutex mutex;
  std::condition_variable resumed;
  std::optional<base::Stopwatch> since;  // it stands still
  base::Milliseconds total{0};

  void take(int event) {
    const std::lock_guard lock(mutex);
    if (event == VIR_DOMAIN_EVENT_SUSPENDED && !since) since.emplace();
    if (event != VIR_DOMAIN_EVENT_RESUMED || !since) return;
    total += std::max(since->elapsed(), base::Milliseconds(1));
    since.reset();
    resumed.notify_all();
  }
};

PauseClock::PauseClock(_virDomain* domain) : domain_(domain), state_(std::make_shared<State>()) {
  const auto on_event = +[](virConnectPtr, virDomainPtr, int event, int, void* state) {
    (*static_cast<std::shared_ptr<State>*>(state))->take(event);
  };
  const auto release = +[](void* state) { delete static_cast<std::shared_ptr<State>*>(state); };
  auto shared = std::make_unique<std::shared_ptr<State>>(state_);
  callback_ = virConnectDomainEventRegisterAny(virDomainGetConnect(domain), domain, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                               VIR_DOMAIN_EVENT_CALLBACK(on_event), shared.get(), release);
  if (callback_ >= 0) static_cast<void>(shared.release());  // libvirt owns it
}

PauseClock::~PauseClock() {
  if (callback_ >= 0) virConnectDomainEventDeregisterAny(virDomainGetConnect(domain_), callback_);
}

base::Milliseconds PauseClock::paused(bool has_stood_still) {
  constexpr base::Milliseconds k_event_deadline = std::chrono::seconds(2);
  std::unique_lock lock(state_->mutex);
  state_->resumed.wait_for(lock, k_event_deadline,
                           [&] { return !state_->since && (state_->total.count() > 0 || !has_stood_still); });
  return state_->total + (state_->since ? state_->since->elapsed() : base::Milliseconds(0));
}

}  // namespace icecore::hypervisor
