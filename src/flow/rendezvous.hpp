// SPDX-License-Identifier: Apache-2.0
// A place where a fixed number of threads wait for each other, again and again, until one of them cannot come.
#pragma once

#include <condition_variable>
#include <mutex>

#include "base/clock.hpp"
#include "flow/closable.hpp"

namespace icecore::flow {

class Rendezvous final : public Closable {
 public:
  // `deadline`: how long one waits for the others.
  Rendezvous(unsigned parties, base::Milliseconds deadline) : parties_(parties), deadline_(deadline) {}
  Rendezvous(const Rendezvous&) = delete;
  Rendezvous& operator=(const Rendezvous&) = delete;

  // Waits until all have come; true for all of them or for none. False: abandoned, or somebody was too late, which
  // abandons it for all.
  bool meet();

  void abandon() noexcept override;

 private:
  const unsigned parties_;
  const base::Milliseconds deadline_;
  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  unsigned waiting_ = 0;
  unsigned meetings_ = 0;  // so far
  bool abandoned_ = false;
};

}  // namespace icecore::flow
