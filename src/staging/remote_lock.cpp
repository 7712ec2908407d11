// SPDX-License-Identifier: Apache-2.0
#include "staging/remote_lock.hpp"

#include "base/error.hpp"

namespace icecore::staging {

RemoteLock lock_remote(SpooledStorage& storage, repository::Repository& repository, storage::Storage& remote,
                       const std::string& operation) {
  storage.expect_mounted(remote);
  auto lock = std::make_unique<repository::RepositoryLock>(repository, repository::LockMode::shared, operation);
  if (!storage.is_on_remote(repository::lock_object(lock->id())))
    base::fail(base::Fault::unavailable, "the repository could not be locked: {}", storage.trouble());
  return lock;
}

}  // namespace icecore::staging
