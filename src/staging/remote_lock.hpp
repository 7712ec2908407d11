// SPDX-License-Identifier: Apache-2.0
// A shared repository lock of an upload. A SpooledStorage does without the locks its remote does not take; what an
// upload finds there holds only under one that is.
#pragma once

#include <memory>
#include <string>

#include "repository/repository_lock.hpp"
#include "staging/spooled_storage.hpp"

namespace icecore::staging {

using RemoteLock = std::unique_ptr<repository::RepositoryLock>;

// Fault::unavailable when it could not be put there, or the repository is not; Fault::busy while a prune sweeps.
// `repository` is over `storage`, and both outlive it.
RemoteLock lock_remote(SpooledStorage& storage, repository::Repository& repository, storage::Storage& remote,
                       const std::string& operation);

}  // namespace icecore::staging
