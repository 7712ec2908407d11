// SPDX-License-Identifier: Apache-2.0
// Something that has to be done every so often whatever else goes on, from a thread of its own.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.hpp"

namespace icecore::flow {

// Made and ended by one thread.
class Periodic {
 public:
  // Runs `action` for the first time when a period has passed. What it throws is logged and it is run again; what it
  // refers to outlives this. `name` shows up in top and perf.
  Periodic(std::string name, base::Milliseconds period, std::function<void()> action);
  Periodic(const Periodic&) = delete;
  Periodic& operator=(const Periodic&) = delete;
  // Waits for an action that is under way.
  ~Periodic() = default;

 private:
  void work(const std::stop_token& stop);

  std::string name_;
  base::Milliseconds period_;
  std::function<void()> action_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // last: it ends before what it uses
};

}  // namespace icecore::flow
