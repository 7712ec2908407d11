// SPDX-License-Identifier: Apache-2.0
// Does the remote hold what was sent there? A server that lost power may have lost, shortened or zeroed its newest
// files, whatever it answered before.
#pragma once

#include <string>
#include <vector>

#include "repository/repository.hpp"
#include "staging/spool.hpp"

namespace icecore::staging {

// Whether the remote's bytes of this pack or index are the ones that were sent; reads the object again.
bool is_intact(storage::Storage& remote, Spool& spool, const QueuedObject& object);

// An object's bytes in the spool; nothing when they are gone or not what was written: its name, its key and its size
// tell.
std::optional<base::Bytes> sound_bytes(Spool& spool, repository::Repository& repository, const QueuedObject& object);

// The sizes the remote has, in the order of `sent`; nothing for what is missing. Costs one round trip an object, or a
// listing for many.
std::vector<std::optional<std::uint64_t>> sizes_on(storage::Storage& remote, const std::vector<QueuedObject>& sent);

}  // namespace icecore::staging
