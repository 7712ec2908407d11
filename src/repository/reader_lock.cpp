// SPDX-License-Identifier: Apache-2.0
#include "repository/reader_lock.hpp"

#include "base/error.hpp"
#include "base/log.hpp"
#include "repository/repository.hpp"

namespace icecore::repository {

namespace {

bool cannot_be_written(const base::Error& error) {
  return error.fault() == base::Fault::no_space || error.fault() == base::Fault::denied;
}

}  // namespace

ReaderLock::ReaderLock(Repository& repository, const std::string& operation) {
  try {
    lock_.emplace(repository, LockMode::shared, operation);
  } catch (const base::Error& error) {
    if (!cannot_be_written(error)) throw;
    base::log_warning("reading '{}' without a lock, which keeps no prune from it: {}", repository.storage().url(),
                      error.what());
  }
}

void ReaderLock::refresh() {
  if (!lock_) return;
  try {
    lock_->refresh();
  } catch (const base::Error& error) {
    if (!cannot_be_written(error)) throw;
    base::log_info("no heartbeat for the lock of '{}': {}", lock_->id(), error.what());
  }
}

std::set<std::string> ReaderLock::ids() const {
  return lock_ ? std::set<std::string>{lock_->id()} : std::set<std::string>{};
}

}  // namespace icecore::repository
