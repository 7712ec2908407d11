// SPDX-License-Identifier: Apache-2.0
// What a repository holds and what deduplication and compression save, of each domain and in total.
#pragma once

#include <string>
#include <vector>

#include "maintenance/watch.hpp"
#include "repository/repository.hpp"

namespace icecore::maintenance {

struct Amounts {
  std::size_t points = 0;
  std::uint64_t logical_bytes = 0;   // allocated bytes of all disks of all points
  std::uint64_t unique_bytes = 0;    // of the distinct blocks and tree nodes they need
  std::uint64_t stored_bytes = 0;    // the same, compressed and encrypted
  double dedup_ratio() const;        // logical to unique; 1 when there is nothing
  double compression_ratio() const;  // unique to stored
};

struct DomainStats {
  std::string name;  // as of its newest point
  std::string uuid;
  Amounts amounts;
  std::uint64_t own_bytes = 0;  // stored for no other domain: what forgetting all of it could free
};

struct RepositoryStats {
  std::vector<DomainStats> domains;  // by name
  Amounts total;
  std::size_t packs = 0;
  std::uint64_t pack_bytes = 0;  // all of them, with what a prune would free
};

// Takes a shared lock; reads the index and all image trees, no data. Fault::corrupt when that is damaged.
RepositoryStats collect_stats(repository::Repository& repository, const Watch& watch);

}  // namespace icecore::maintenance
