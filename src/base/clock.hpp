// SPDX-License-Identifier: Apache-2.0
// Time: wall time is UTC in milliseconds and only labels things; durations come from the steady clock.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace icecore::base {

using Timestamp = std::chrono::sys_time<std::chrono::milliseconds>;
using Milliseconds = std::chrono::milliseconds;

Timestamp now();

// RFC 3339 in UTC: "2026-11-21T09:30:00.123Z".
std::string format_time(Timestamp time);
// Accepts what format_time() prints, with or without fraction, "Z" optional, 'T' or a space, and the
// shorter "2026-11-21", "2026-11-21T09:30". Throws Fault::usage.
Timestamp parse_time(std::string_view text);
// The last moment that text means: of "2026-11-21" the day's, of "2026-11-21T09:30:12Z" the second's.
Timestamp parse_time_end(std::string_view text);

class Stopwatch {
 public:
  Milliseconds elapsed() const {
    return std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - start_);
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace icecore::base
