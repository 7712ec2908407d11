// SPDX-License-Identifier: Apache-2.0
// The objects locks/<id>: who is at work in the repository. Shared locks go together, a maintenance lock goes with
// shared ones but not with another, an exclusive one goes with nothing. A lock of a process that is gone is removed;
// one that may be alive elsewhere is explained.
//
// A lock is there, unchanged, for as long as it is held: nobody who lists and reads can miss it, on any storage. That
// its holder lives says heartbeats/<id>, which is replaced, and which nothing but what people are told depends on.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "repository/lock_info.hpp"

namespace icecore::repository {

class RepositoryLock {
 public:
  // Takes the lock or throws Fault::busy naming who holds the repository, since when and what to do; then
  // nothing of ours is left. `repository` outlives it. `once_there` is called when the lock lies there, before others
  // are looked for: what the lock is to protect may be begun beside that look.
  RepositoryLock(
      Repository& repository, LockMode mode, const std::string& operation,
      const std::function<void()>& once_there = [] {});
  RepositoryLock(const RepositoryLock&) = delete;
  RepositoryLock& operator=(const RepositoryLock&) = delete;
  // Removes the lock; failing that it logs and the next comer finds it stale.
  ~RepositoryLock();

  const std::string& id() const noexcept { return held_.front().id; }

  // Throws Fault::conflict when somebody has removed the lock: what it held off may have happened. Asks the storage
  // each time; one that is away from a backup with staging passes.
  void check();

  // To be called now and then by the job: when the last heartbeat is older than k_lock_heartbeat, check()s and beats.
  void refresh();
  // Tells other hosts that this process lives. From any one thread, while nothing else is done to the lock.
  void beat();

  // From here on alone: an exclusive lock beside the first. Fault::busy when somebody works beside it; then there is
  // only the first, as before.
  void make_exclusive();

 private:
  void take(
      LockMode mode, const std::function<void()>& once_there = [] {});
  void refuse_beside(const LockInfo& own);
  void give_back() noexcept;

  Repository& repository_;
  std::string operation_;
  std::vector<LockInfo> held_;
  base::Stopwatch since_beat_;
  std::atomic<bool> has_beaten_ = false;  // from another thread, as beat() may be called
};

}  // namespace icecore::repository
