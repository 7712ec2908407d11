// SPDX-License-Identifier: Apache-2.0
// How fast may be uploaded, and when: a rate for the whole day and others for some of its hours.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string_view>
#include <vector>

#include "base/clock.hpp"

namespace icecore::staging {

// Bytes a second; nothing: as fast as it goes. 0: not at all.
using Rate = std::optional<std::uint64_t>;

struct RateWindow {
  int from_minute = 0;  // of the local day, 0 to 1439
  int to_minute = 0;    // the first that is outside; before from_minute: past midnight
  Rate rate;
};

struct UploadLimit {
  Rate rate;
  std::vector<RateWindow> windows;  // the first that fits wins
};

// "10M,08:00-18:00=2M,22:00-06:00=max": bytes a second with K, M or G for 1024 and its powers. Fault::usage.
UploadLimit parse_upload_limit(std::string_view text);

Rate rate_at(const UploadLimit& limit, int minute_of_day);

// The local time of day in minutes. Only it looks at the wall clock: a clock that jumps may change the rate that
// holds, never how long somebody waits at that rate.
int minute_of_day_now();

// Threads: pay() may be called from several at once.
class RateLimiter {
 public:
  explicit RateLimiter(UploadLimit limit, std::function<int()> minute_of_day = minute_of_day_now);

  // False: pay() never waits.
  bool is_limited() const noexcept { return limit_.rate || !limit_.windows.empty(); }
  // Waits until what was paid for before has had its time at the rate, then owes `bytes`. Returns early on stop.
  void pay(std::uint64_t bytes, const std::stop_token& stop);

 private:
  UploadLimit limit_;
  std::function<int()> minute_of_day_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  double owed_ = 0;  // bytes
  base::Stopwatch since_tick_;
};

}  // namespace icecore::staging
