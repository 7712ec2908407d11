// SPDX-License-Identifier: Apache-2.0
// Who holds a repository, for people to look at.
#pragma once

#include <string>
#include <vector>

#include "repository/repository_lock.hpp"

namespace icecore::repository {

// A lock as `unlock` shows it.
struct FoundLock {
  LockInfo lock;  // with damage: only its id
  LockState state = LockState::alive;
  std::string damage;  // why it cannot be read; who holds it is then unknown
};

// All of them, in no particular order.
std::vector<FoundLock> list_locks(Repository& repository);

}  // namespace icecore::repository
