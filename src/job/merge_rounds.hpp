// SPDX-License-Identifier: Apache-2.0
// A domain may be started or stopped at any moment of a merge: then it is looked at again, and done the other way.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string_view>

#include "base/error.hpp"
#include "hypervisor/connection.hpp"

namespace icecore::job {

// One thread at a time.
class MergeRounds {
 public:
  MergeRounds(hypervisor::Connection& connection, std::stop_token stop)
      : connection_(connection), stop_(std::move(stop)) {}

  // Calls `round` until it returns true. When it does not for so long that it is no accident any more: what the last
  // merge_unless_in_use() met, else Fault::conflict; `images` says what is merged: "overlays".
  void run(std::string_view images, const std::function<bool()>& round);

  // Calls `merge`. False, after half a second, when it threw Fault::busy: somebody has the files open, so look again.
  bool merge_unless_in_use(const std::function<void()>& merge);

 private:
  hypervisor::Connection& connection_;
  std::stop_token stop_;
  std::optional<base::Error> in_use_;  // of this round
};

}  // namespace icecore::job
