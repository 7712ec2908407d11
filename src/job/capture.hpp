// SPDX-License-Identifier: Apache-2.0
// Reads one frozen disk into the repository: read and hash and compress and encrypt on every core, names put
// back in order into the image tree.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <vector>

#include "disk/disk_source.hpp"
#include "repository/block_writer.hpp"
#include "repository/image_tree_writer.hpp"

namespace icecore::job {

// What is read when the rest is as it was in another point.
struct Increment {
  repository::ImageRoot base;         // of that point; not larger than the disk
  std::vector<disk::Extent> changed;  // ascending, whole blocks; what is a hole there now becomes one in the tree
};

struct Captured {
  repository::ImageRoot root;
  std::uint64_t bytes_read = 0;  // data the disk holds, zero blocks among it
};

// `on_chunk` is called from worker threads, one at a time, with the bytes read so far of this disk. What was
// stored is only sure after writer.finish(). Without an increment the whole disk is read. On failure the first error is
// thrown after all threads have ended.
Captured capture_disk(disk::DiskSource& source, repository::BlockWriter& writer,
                      const std::function<void(std::uint64_t)>& on_chunk, std::stop_token stop,
                      const std::optional<Increment>& increment = {});

}  // namespace icecore::job
