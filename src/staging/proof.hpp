// SPDX-License-Identifier: Apache-2.0
// Does the remote hold what was sent there? A server that lost power may have lost, shortened or zeroed its newest
// files, whatever it answered before.
#pragma once

#include <map>
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

using Sizes = std::map<std::string, std::uint64_t>;
// Of these objects, those the remote has. Asks for all at once and in their order; packs and indexes are listed, before
// the rest, when there are many.
Sizes sizes_on(storage::Storage& remote, const std::vector<std::string>& names);

}  // namespace icecore::staging
