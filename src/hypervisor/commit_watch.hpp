// SPDX-License-Identifier: Apache-2.0
// When a live merge that does not come to its end is given up: what block_commit and layer_commit have in common.
#pragma once

#include <cstddef>
#include <string>

#include "hypervisor/block_commit.hpp"
#include "hypervisor/domain.hpp"

namespace icecore::hypervisor {

class CommitWatch {
 public:
  // `what` begins the error: "the commit of domain 'web'". `progress` must outlive this and may be empty.
  CommitWatch(std::string what, base::Milliseconds stall_deadline, const CommitProgress& progress)
      : what_(std::move(what)), stall_deadline_(stall_deadline), progress_(progress) {}

  // The sum over all jobs, and how many disks are done. Fault::unavailable when neither has moved for the deadline.
  void look(BlockJobProgress sum, std::size_t disks_done);

 private:
  std::string what_;
  base::Milliseconds stall_deadline_;
  const CommitProgress& progress_;
  BlockJobProgress last_;
  std::size_t last_done_ = 0;
  base::Stopwatch since_change_;
};

// Counts one more start of a disk's job; Fault::unavailable, beginning with `what`, when it has ended without success
// too often.
void count_start(int& starts, const std::string& what, const std::string& domain_name);

}  // namespace icecore::hypervisor
