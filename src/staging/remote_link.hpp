// SPDX-License-Identifier: Apache-2.0
// The remote storage of a spool, opened when it is first needed. One that does not answer is left alone for a while,
// so that a backup pays for a dead network once and not at every step.
//
// Threads: all methods may be called from several threads at once.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/guarded.hpp"
#include "base/handle.hpp"
#include "storage/storage.hpp"

namespace icecore::staging {

class RemoteLink {
 public:
  using Opener = std::function<std::unique_ptr<storage::Storage>()>;
  explicit RemoteLink(Opener opener, base::Milliseconds rest = std::chrono::seconds(30));

  // The storage, opening it if nobody has; tries even while the link rests. Throws what the opener throws.
  std::shared_ptr<storage::Storage> open();

  // Runs action(storage). Fault::unavailable from it makes the link rest: until that is over attempt() fails at once.
  template <typename Action>
  auto attempt(Action&& action) {
    fail_while_resting();
    bool failed = false;
    const base::ScopeExit reached([&] {
      if (!failed) note_reached();
    });
    try {
      return action(*open());
    } catch (const base::Error& error) {
      failed = true;
      note(error);
      throw;
    }
  }

  // What the last failure to reach it, or to be let in, was; empty when it was reached since.
  std::string trouble() const;
  // Somebody has just spoken with it, or failed to.
  void note_reached();
  void note(const base::Error& error);

 private:
  struct State {
    std::shared_ptr<storage::Storage> storage;
    std::string trouble;
    std::optional<base::Stopwatch> resting;
  };
  void fail_while_resting() const;

  Opener opener_;
  base::Milliseconds rest_;
  base::Guarded<State> state_;
  base::Guarded<int> opening_;  // one opens, others wait for it
};

}  // namespace icecore::staging
