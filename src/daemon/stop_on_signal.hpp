// SPDX-License-Identifier: Apache-2.0
// Turns Ctrl-C, SIGTERM and SIGHUP into a stop request. Nothing ever dies of the signal itself: who holds the
// token ends in its own time, and a second signal does not shorten what safety needs.
#pragma once

#include <csignal>
#include <functional>
#include <stop_token>
#include <thread>

namespace icecore::daemon {

class StopOnSignal {
 public:
  // Make it before any other thread starts: they inherit the blocked signals. `on_stop` is called once, on
  // the watching thread, when the first signal comes; it must not throw.
  explicit StopOnSignal(std::function<void()> on_stop = {});
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;
  // Joins the watching thread. The signals stay blocked: what is left is the end of the process, and one that comes
  // then must not make a success look like a death.
  ~StopOnSignal();

  std::stop_token token() const noexcept { return source_.get_token(); }

 private:
  void watch(const std::stop_token& ended);

  sigset_t signals_{};
  std::function<void()> on_stop_;
  std::stop_source source_;
  std::jthread watcher_;
};

}  // namespace icecore::daemon
