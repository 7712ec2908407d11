// SPDX-License-Identifier: Apache-2.0
// Shared state that can only be reached through its lock.
#pragma once

#include <mutex>
#include <utility>

namespace icecore::base {

//   Guarded<std::vector<int>> seen;
//   seen.with([&](auto& list) { list.push_back(1); });
template <typename T>
class Guarded {
 public:
  template <typename... Args>
  explicit Guarded(Args&&... args) : value_(std::forward<Args>(args)...) {}

  // Calls action(T&) with the lock held and returns what it returns. Do not return references into T.
  template <typename Action>
  auto with(Action&& action) {
    const std::lock_guard lock(mutex_);
    return std::forward<Action>(action)(value_);
  }
  template <typename Action>
  auto with(Action&& action) const {
    const std::lock_guard lock(mutex_);
    return std::forward<Action>(action)(value_);
  }

 private:
  mutable std::mutex mutex_;
  T value_;
};

}  // namespace icecore::base
