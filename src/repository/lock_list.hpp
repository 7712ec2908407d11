// SPDX-License-Identifier: Apache-2.0
// Who holds a repository: all locks, read and judged.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "repository/lock_info.hpp"

namespace icecore::repository {

struct FoundLock {
  LockInfo lock;  // with damage: only its id, which is the rest of the object's name
  LockState state = LockState::alive;
  std::string damage;  // why it cannot be read; who holds it is then unknown
};

// All but those of these ids, which are not read; in no particular order.
std::vector<FoundLock> list_locks(Repository& repository, const std::set<std::string>& but = {});

// With its heartbeat. Removing what is gone is no error.
void remove_lock(storage::Storage& storage, const std::string& id);

}  // namespace icecore::repository
