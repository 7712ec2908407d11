// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/pause_clock.hpp"

#include <libvirt/libvirt.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "hypervisor/domain.hpp"

namespace icecore::hypervisor {

namespace {

constexpr base::Milliseconds k_listen_deadline = std::chrono::seconds(10);

}  // namespace

struct PauseClock::State {
  std::mutex mutex;
  std::condition_variable resumed;
  std::optional<base::Stopwatch> since;  // it stands still
  base::Milliseconds total{0};

  // libvirt owns a reference as long as the connection is open.
  static void listen(_virConnect* connection, const std::string& domain_uuid, const std::shared_ptr<State>& state);

  void take(int event) {
    const std::lock_guard lock(mutex);
    if (event == VIR_DOMAIN_EVENT_SUSPENDED && !since) since.emplace();
    if (event != VIR_DOMAIN_EVENT_RESUMED || !since) return;
    total += std::max(since->elapsed(), base::Milliseconds(1));
    since.reset();
    resumed.notify_all();
  }
};

void PauseClock::State::listen(_virConnect* connection, const std::string& domain_uuid,
                               const std::shared_ptr<State>& state) {
  const ConnectionOptions options;
  virConnectSetKeepAlive(connection, options.keepalive_seconds, options.keepalive_misses);
  const DomainHandle domain(virDomainLookupByUUIDString(connection, domain_uuid.c_str()));
  if (!domain) return;
  const auto on_event = +[](virConnectPtr, virDomainPtr, int event, int, void* kept) {
    (*static_cast<std::shared_ptr<State>*>(kept))->take(event);
  };
  const auto release = +[](void* kept) { delete static_cast<std::shared_ptr<State>*>(kept); };
  auto kept = std::make_unique<std::shared_ptr<State>>(state);
  const int callback = virConnectDomainEventRegisterAny(connection, domain.get(), VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                                        VIR_DOMAIN_EVENT_CALLBACK(on_event), kept.get(), release);
  if (callback >= 0) static_cast<void>(kept.release());
}

PauseClock::PauseClock(const std::string& uri, const std::string& domain_uuid)
    : state_(std::make_shared<State>()),
      listener_(uri, k_listen_deadline, [state = state_, domain_uuid](_virConnect* connection) {
        State::listen(connection, domain_uuid, state);
      }) {}

void PauseClock::restart() {
  const std::lock_guard lock(state_->mutex);
  state_->since.reset();
  state_->total = base::Milliseconds(0);
}

base::Milliseconds PauseClock::paused() {
  constexpr base::Milliseconds k_event_deadline = std::chrono::seconds(2);
  std::unique_lock lock(state_->mutex);
  state_->resumed.wait_for(lock, k_event_deadline, [&] { return !state_->since && state_->total.count() > 0; });
  return state_->total + (state_->since ? state_->since->elapsed() : base::Milliseconds(0));
}

}  // namespace icecore::hypervisor
