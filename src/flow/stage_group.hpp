// SPDX-License-Identifier: Apache-2.0
// A fixed set of named threads that make up one transfer. The first error wins: it abandons every watched
// queue, so that no other stage sleeps on, and is rethrown by join() after all threads have ended.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "flow/closable.hpp"

namespace icecore::flow {

// Built, filled and joined by one thread.
class StageGroup {
 public:
  // A stop of `outside` ends the group as an error does; join() then throws Fault::cancelled.
  explicit StageGroup(std::stop_token outside = {});
  StageGroup(const StageGroup&) = delete;
  StageGroup& operator=(const StageGroup&) = delete;
  // Without join(): stops, abandons, waits for the threads, forgets their errors.
  ~StageGroup();

  // The queue (or pool) must outlive the group. Watch all of them before the first run().
  void watch(Closable& queue);

  // Starts `threads` threads of `work`. When the last of them has returned without error, `finished` runs
  // once, in that thread: the place to close the stage's output queue. The name shows up in top and perf.
  void run(const std::string& name, unsigned threads, std::function<void(std::stop_token)> work,
           std::function<void()> finished = {});

  // Waits for all threads, then rethrows the first error. No run() after it.
  void join();

 private:
  struct Stage {
    std::string name;
    std::function<void(std::stop_token)> work;
    std::function<void()> finished;
    unsigned running;
  };

  void work_in_thread(const std::shared_ptr<Stage>& stage) noexcept;
  void leave(Stage& stage);
  void stop_with(std::exception_ptr error) noexcept;

  const std::stop_token outside_;
  std::stop_source inside_;
  std::mutex mutex_;  // guards all below but threads_
  std::vector<Closable*> watched_;
  std::exception_ptr first_error_;
  bool stopped_ = false;
  std::vector<std::jthread> threads_;
  std::optional<std::stop_callback<std::function<void()>>> on_outside_stop_;
};

}  // namespace icecore::flow
