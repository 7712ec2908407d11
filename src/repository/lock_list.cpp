// SPDX-License-Identifier: Apache-2.0
#include "repository/lock_list.hpp"

#include "base/error.hpp"
#include "repository/envelope.hpp"

namespace icecore::repository {

using base::Fault;

namespace {

constexpr std::string_view k_folder = "locks";

// The newer of what the lock itself says and its heartbeat, where there is one that can be read.
base::Timestamp last_seen(Repository& repository, const LockInfo& lock) {
  try {
    const base::Bytes object = repository.storage().get(heartbeat_object(lock.id), size_max(ObjectKind::lock));
    return std::max(lock.heartbeat, decode_heartbeat(repository.keys(), lock.id, object));
  } catch (const base::Error& error) {
    if (error.fault() == Fault::unavailable || error.fault() == Fault::cancelled) throw;
    return lock.heartbeat;
  }
}

// Anything may lie there: a file cut off by a power loss, one of somebody else, one only they may read.
bool is_damage(Fault fault) { return fault == Fault::corrupt || fault == Fault::usage || fault == Fault::denied; }

}  // namespace

std::vector<FoundLock> list_locks(Repository& repository, const std::set<std::string>& but) {
  storage::Storage& storage = repository.storage();
  const LockInfo self = describe_self(LockMode::shared, "");
  std::vector<FoundLock> found;
  for (const storage::ObjectInfo& object : storage.list(std::string(k_folder))) {
    FoundLock lock;
    lock.lock.id = object.name.substr(k_folder.size() + 1);
    if (but.contains(lock.lock.id)) continue;
    try {
      lock.lock = decode_lock(repository.keys(), lock.lock.id, storage.get(object.name, size_max(ObjectKind::lock)));
      lock.lock.heartbeat = last_seen(repository, lock.lock);
      lock.state = judge(lock.lock, self, base::now());
    } catch (const base::Error& error) {
      if (error.fault() == Fault::not_found) continue;  // given back meanwhile
      if (!is_damage(error.fault())) throw;
      lock.damage = error.what();
    }
    found.push_back(std::move(lock));
  }
  return found;
}

void remove_lock(storage::Storage& storage, const std::string& id) {
  // The other way round a heartbeat would stay that nobody ever looks for.
  storage.remove(heartbeat_object(id));
  storage.remove(lock_object(id));
}

}  // namespace icecore::repository
