// SPDX-License-Identifier: Apache-2.0
#include "flow/stage_group.hpp"

#include <pthread.h>

#include <cassert>

#include "base/error.hpp"

namespace icecore::flow {

namespace {

void name_this_thread(const std::string& name) {
  constexpr std::size_t k_name_max = 15;  // of the kernel, without the end
  ::pthread_setname_np(::pthread_self(), name.substr(0, k_name_max).c_str());
}

}  // namespace

StageGroup::StageGroup(std::stop_token outside) : outside_(std::move(outside)) {
  on_outside_stop_.emplace(outside_, [this] { stop_with(nullptr); });
}

StageGroup::~StageGroup() {
  if (!threads_.empty()) stop_with(nullptr);
  threads_.clear();
}

void StageGroup::watch(Closable& queue) {
  const std::lock_guard lock(mutex_);
  watched_.push_back(&queue);
  if (stopped_) queue.abandon();
}

void StageGroup::run(const std::string& name, unsigned threads, std::function<void(std::stop_token)> work,
                     std::function<void()> finished) {
  assert(threads > 0);
  auto stage = std::make_shared<Stage>(Stage{name, std::move(work), std::move(finished), threads});
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this, stage] { work_in_thread(stage); });
}

void StageGroup::join() {
  threads_.clear();
  on_outside_stop_.reset();
  const std::lock_guard lock(mutex_);
  if (first_error_) std::rethrow_exception(first_error_);
  if (outside_.stop_requested()) base::fail(base::Fault::cancelled, "stopped on request");
}

// The wall of a worker thread: whatever leaves the stage ends the group.
void StageGroup::work_in_thread(const std::shared_ptr<Stage>& stage) noexcept {
  try {
    name_this_thread(stage->name);
    stage->work(inside_.get_token());
    leave(*stage);
  } catch (...) {
    stop_with(std::current_exception());
  }
}

// A thread that failed never leaves, so `finished` does not run after an error in the stage.
void StageGroup::leave(Stage& stage) {
  {
    const std::lock_guard lock(mutex_);
    if (--stage.running > 0 || stopped_) return;
  }
  if (stage.finished) stage.finished();
}

void StageGroup::stop_with(std::exception_ptr error) noexcept {
  std::vector<Closable*> watched;
  {
    const std::lock_guard lock(mutex_);
    if (error && !first_error_) first_error_ = std::move(error);
    stopped_ = true;
    watched = watched_;
  }
  inside_.request_stop();
  for (Closable* queue : watched) queue->abandon();
}

}  // namespace icecore::flow
