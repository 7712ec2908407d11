// SPDX-License-Identifier: Apache-2.0
#include "repository/lock_list.hpp"

#include "base/error.hpp"
#include "repository/envelope.hpp"

namespace icecore::repository {

using base::Fault;

std::vector<FoundLock> list_locks(Repository& repository) {
  storage::Storage& storage = repository.storage();
  const LockInfo self = describe_self(LockMode::shared, "unlock");
  std::vector<FoundLock> found;
  for (const storage::ObjectInfo& object : storage.list("locks")) {
    FoundLock lock;
    lock.lock.id = object.name.substr(object.name.rfind('/') + 1);
    try {
      lock.lock = decode_lock(repository.keys(), lock.lock.id, storage.get(object.name, size_max(ObjectKind::lock)));
      lock.state = judge(lock.lock, self, base::now());
    } catch (const base::Error& error) {
      if (error.fault() == Fault::not_found) continue;  // given back meanwhile
      if (error.fault() != Fault::corrupt && error.fault() != Fault::usage) throw;
      lock.damage = error.what();
    }
    found.push_back(std::move(lock));
  }
  return found;
}

}  // namespace icecore::repository
