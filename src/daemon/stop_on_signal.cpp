// SPDX-License-Identifier: Apache-2.0
#include "daemon/stop_on_signal.hpp"

namespace icecore::daemon {

StopOnSignal::StopOnSignal(std::function<void()> on_stop) : on_stop_(std::move(on_stop)) {
  sigemptyset(&signals_);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals_, signal);
  ::pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  watcher_ = std::jthread([this](const std::stop_token& ended) { watch(ended); });
}

StopOnSignal::~StopOnSignal() {
  watcher_.request_stop();
  ::pthread_kill(watcher_.native_handle(), SIGHUP);  // wakes the watcher, which is told to end
  watcher_.join();
}

void StopOnSignal::watch(const std::stop_token& ended) {
  while (true) {
    const int signal = ::sigwaitinfo(&signals_, nullptr);
    if (ended.stop_requested()) return;
    if (signal > 0 && source_.request_stop() && on_stop_) on_stop_();
  }
}

}  // namespace icecore::daemon
