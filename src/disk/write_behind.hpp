// SPDX-License-Identifier: Apache-2.0
// Sends written ranges to the disk while we go on, and gives their memory back once they are there: the
// final fsync is short, and a restore neither fills the page cache nor pushes out what guests use.
#pragma once

#include <deque>
#include <vector>

#include "disk/extent.hpp"

namespace icecore::disk {

// One thread at a time; several may share a file descriptor.
class WriteBehind {
 public:
  // The descriptor outlives this object.
  explicit WriteBehind(int fd) : fd_(fd) {}

  // The range has been written with pwrite(2). May wait for ranges added long before. Throws the I/O errors
  // of those: the kernel reports each only once, so fsync would not tell.
  void add(Extent written);

 private:
  struct Batch {
    std::vector<Extent> ranges;  // adjacent ones joined
    std::uint64_t bytes = 0;
  };

  void start(const Batch& batch);
  void finish(const Batch& batch);

  int fd_;
  Batch current_;
  std::deque<Batch> on_their_way_;  // oldest first
};

}  // namespace icecore::disk
