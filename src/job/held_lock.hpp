// SPDX-License-Identifier: Apache-2.0
// The repository's shared lock of a job, whose heartbeat goes on whatever the job does: a commit takes hours.
#pragma once

#include <string>

#include "flow/periodic.hpp"
#include "repository/repository_lock.hpp"

namespace icecore::job {

struct HeldLock {
  // As RepositoryLock's. Beats every `period`.
  HeldLock(
      repository::Repository& repository, const std::string& operation, const std::function<void()>& once_there = [] {},
      base::Milliseconds period = repository::k_lock_heartbeat)
      : lock(repository, repository::LockMode::shared, operation, once_there),
        beating("lock", period, [this] { lock.beat(); }) {}

  repository::RepositoryLock lock;
  flow::Periodic beating;  // ends before the lock
};

}  // namespace icecore::job
