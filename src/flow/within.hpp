// SPDX-License-Identifier: Apache-2.0
// A call that may never return, as into a network file system without its server, given up after a while.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <thread>

#include "base/clock.hpp"

namespace icecore::flow {

// What `act` returns, or nothing at the deadline. It runs in a thread of its own, which is then left behind until it
// returns or the process ends: what it uses must be its own. Rethrows what it throws in time.
template <typename Result>
std::optional<Result> within(base::Milliseconds deadline, std::function<Result()> act) {
  auto task = std::make_shared<std::packaged_task<Result()>>(std::move(act));
  std::future<Result> result = task->get_future();
  std::thread([task] { (*task)(); }).detach();
  if (result.wait_for(deadline) != std::future_status::ready) return std::nullopt;
  return result.get();
}

}  // namespace icecore::flow
