// SPDX-License-Identifier: Apache-2.0
#include "flow/periodic.hpp"

#include <pthread.h>

#include "base/log.hpp"

namespace icecore::flow {

Periodic::Periodic(std::string name, base::Milliseconds period, std::function<void()> action)
    : name_(std::move(name)),
      period_(period),
      action_(std::move(action)),
      thread_([this](const std::stop_token& stop) { work(stop); }) {}

void Periodic::work(const std::stop_token& stop) {
  ::pthread_setname_np(::pthread_self(), name_.substr(0, 15).c_str());
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, stop, period_, [&] { return stop.stop_requested(); })) {
    try {
      action_();
    } catch (const std::exception& error) {
      base::log_info("{}: {}", name_, error.what());
    }
  }
}

}  // namespace icecore::flow
