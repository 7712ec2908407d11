// SPDX-License-Identifier: Apache-2.0
// Where two stages meet: a queue bounded in bytes, so that memory does not depend on how many items a
// disk or a pack happens to produce. Full blocks the producer, empty blocks the consumer.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "flow/closable.hpp"

namespace icecore::flow {

// Any number of producers and consumers; items leave in the order they came.
template <typename T>
class ByteQueue final : public Closable {
 public:
  explicit ByteQueue(std::size_t bytes_max) : bytes_max_(bytes_max) {}
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;

  // Waits for room, then queues the item, which counts as `cost` bytes. An item larger than the bound
  // passes when the queue is empty. False: the queue is closed and the item is gone.
  bool push(T item, std::size_t cost) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return closed_ || bytes_ == 0 || bytes_ + cost <= bytes_max_; });
    if (closed_) return false;
    bytes_ += cost;
    items_.emplace_back(std::move(item), cost);
    lock.unlock();
    filled_.notify_one();
    return true;
  }

  // The oldest item, waiting for one; nothing once the queue is closed and drained.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    filled_.wait(lock, [&] { return closed_ || !items_.empty(); });
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front().first));
    bytes_ -= items_.front().second;
    items_.pop_front();
    lock.unlock();
    room_.notify_all();  // one large item may have made room for several small ones
    return item;
  }

  // No more items will come: what is queued can still be popped. Idempotent.
  void close() noexcept {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    wake_all();
  }

  // As close(), and what is queued is dropped (outside the lock: items may own buffers of a pool).
  void abandon() noexcept override {
    std::deque<std::pair<T, std::size_t>> dropped;
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      bytes_ = 0;
      dropped.swap(items_);
    }
    wake_all();
  }

  // The sum of the costs queued now; for tests and progress.
  std::size_t bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
  }

 private:
  void wake_all() noexcept {
    room_.notify_all();
    filled_.notify_all();
  }

  const std::size_t bytes_max_;
  mutable std::mutex mutex_;
  std::condition_variable room_;
  std::condition_variable filled_;
  std::deque<std::pair<T, std::size_t>> items_;
  std::size_t bytes_ = 0;  // zero-cost items do not count; the queue is "empty" for large ones when this is 0
  bool closed_ = false;
};

}  // namespace icecore::flow
