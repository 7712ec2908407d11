// SPDX-License-Identifier: Apache-2.0
// Does the remote hold what was sent there? A server that lost power may have lost, shortened or zeroed its newest
// files, whatever it answered before.
#pragma once

#include <string>
#include <vector>

#include "staging/spool.hpp"

namespace icecore::staging {

// Whether the remote's bytes of this pack or index are the ones that were sent; reads the object again.
bool is_intact(storage::Storage& remote, Spool& spool, const QueuedObject& object);

// Those of `sent` that are missing on the remote, have another size, or, when `doubted(object)`, other bytes.
// Costs one round trip an object, or one listing for many.
template <typename Doubted>
std::vector<QueuedObject> find_lost(storage::Storage& remote, Spool& spool, const std::vector<QueuedObject>& sent,
                                    Doubted&& doubted);

// The sizes the remote has, in the order of `sent`; nothing for what is missing.
std::vector<std::optional<std::uint64_t>> sizes_on(storage::Storage& remote, const std::vector<QueuedObject>& sent);

template <typename Doubted>
std::vector<QueuedObject> find_lost(storage::Storage& remote, Spool& spool, const std::vector<QueuedObject>& sent,
                                    Doubted&& doubted) {
  std::vector<QueuedObject> lost;
  const auto sizes = sizes_on(remote, sent);
  for (std::size_t i = 0; i < sent.size(); ++i) {
    const bool good = sizes[i] == sent[i].size && (!doubted(sent[i]) || is_intact(remote, spool, sent[i]));
    if (!good) lost.push_back(sent[i]);
  }
  return lost;
}

}  // namespace icecore::staging
