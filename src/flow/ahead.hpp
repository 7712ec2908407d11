// SPDX-License-Identifier: Apache-2.0
// Something done ahead, on a thread of its own, while its owner goes on until it needs the result.
#pragma once

#include <chrono>
#include <future>
#include <utility>

namespace icecore::flow {

// One thread at a time. Destroying it waits for what is under way and forgets its result or error.
template <typename T>
class Ahead {
 public:
  Ahead() = default;  // nothing is done ahead
  template <typename Action>
  explicit Ahead(Action&& action) : result_(std::async(std::launch::async, std::forward<Action>(action))) {}

  // False when nothing is done ahead, or its result was taken.
  bool is_there() const noexcept { return result_.valid(); }
  // True when it has come to its end, false at the deadline. While it is there.
  bool wait_for(std::chrono::milliseconds deadline) { return result_.wait_for(deadline) == std::future_status::ready; }
  // Waits for it. Once; throws what it threw.
  T get() { return result_.get(); }

 private:
  std::future<T> result_;
};

}  // namespace icecore::flow
