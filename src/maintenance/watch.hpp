// SPDX-License-Identifier: Apache-2.0
// What long work on a repository is given: a way to be told to stop, to keep its lock alive, and to tell where it is.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string_view>

#include "base/error.hpp"

namespace icecore::maintenance {

struct Watch {
  std::stop_token stop;
  // A step begins: "read the index". All are called on the thread that works.
  std::function<void(std::string_view)> on_phase = [](std::string_view) {};
  std::function<void(std::uint64_t done, std::uint64_t total)> on_bytes = [](std::uint64_t, std::uint64_t) {};
  std::function<void()> on_tick = [] {};  // several times a second while there is work

  // To be called between two pieces of work. Fault::cancelled when asked to stop.
  void tick() const {
    if (stop.stop_requested()) base::fail(base::Fault::cancelled, "interrupted; what was done so far is kept");
    on_tick();
  }
};

}  // namespace icecore::maintenance
