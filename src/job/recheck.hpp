// SPDX-License-Identifier: Apache-2.0
// A look at some of the blocks a bitmap calls unchanged: are they what the point before has?
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "disk/disk_source.hpp"
#include "job/capture.hpp"
#include "repository/repository.hpp"

namespace icecore::job {

struct Recheck {
  std::uint64_t bytes_read = 0;
  std::uint64_t blocks = 0;
  std::string mismatch;  // what differs, for people; empty: nothing
};

// Picks `per_mille` of the disk's blocks (within limits), most of them with data, by a random number that differs from
// run to run, and always the last block with data: a disk that was cut and grown again has lost its end, which no
// bitmap tells. Before that it reads all nodes of the old tree that the increment is going to need, so that a
// repository that cannot give them is known before anything is stored. Faults as DiskSource and BlockReader.
Recheck recheck_unchanged(disk::DiskSource& source, repository::Repository& repository, const Increment& increment,
                          int per_mille, const std::stop_token& stop);

}  // namespace icecore::job
