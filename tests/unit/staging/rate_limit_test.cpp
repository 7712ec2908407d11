// SPDX-License-Identifier: Apache-2.0
#include "staging/rate_limit.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/bytes.hpp"
#include "base/error.hpp"

namespace icecore::staging {
namespace {

using base::k_mib;

TEST(RateLimitTest, ReadsRatesAndHours) {
  EXPECT_EQ(parse_upload_limit("10M").rate, 10 * k_mib);
  EXPECT_EQ(parse_upload_limit("500").rate, 500U);
  const UploadLimit limit = parse_upload_limit("10M,08:00-18:00=2M,22:00-06:00=max,12:00-13:00=0");
  EXPECT_EQ(rate_at(limit, 7 * 60 + 59), 10 * k_mib);
  EXPECT_EQ(rate_at(limit, 8 * 60), 2 * k_mib);
  EXPECT_EQ(rate_at(limit, 18 * 60), 10 * k_mib);
  EXPECT_EQ(rate_at(limit, 23 * 60), std::nullopt);
  EXPECT_EQ(rate_at(limit, 5 * 60), std::nullopt);
  EXPECT_EQ(rate_at(limit, 12 * 60), 2 * k_mib) << "the first window that fits";
  EXPECT_EQ(parse_upload_limit("08:00-18:00=0").rate, std::nullopt);
  EXPECT_EQ(rate_at(parse_upload_limit("1K,08:00-24:00=2K"), 23 * 60 + 59), 2048U);
}

TEST(RateLimitTest, RefusesWhatIsNone) {
  for (const char* text : {"", "fast", "10X", "0", "10M,20M", "8:00-18:00=1M", "08:00=1M", "25:00-26:00=1M",
                           "10M,08:00-18:00", "-5", "08:60-09:00=1M"}) {
    try {
      parse_upload_limit(text);
      ADD_FAILURE() << "'" << text << "' was taken";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), base::Fault::usage);
      EXPECT_FALSE(error.hint().empty());
    }
  }
}

TEST(RateLimitTest, TheSecondWaitsForTheTimeOfTheFirst) {
  RateLimiter limiter({.rate = 1000});
  const base::Stopwatch watch;
  limiter.pay(200, {});
  EXPECT_LT(watch.elapsed(), base::Milliseconds(150));
  limiter.pay(1, {});
  EXPECT_GE(watch.elapsed(), base::Milliseconds(195));
}

TEST(RateLimitTest, ClockThatJumpsChangesTheRateAndNoWait) {
  std::atomic<int> minute{12 * 60};
  RateLimiter limiter(parse_upload_limit("max,08:00-18:00=0"), [&] { return minute.load(); });
  std::atomic<bool> passed{false};
  std::jthread payer([&](const std::stop_token& stop) {
    limiter.pay(1, stop);
    passed = true;
  });
  std::this_thread::sleep_for(base::Milliseconds(50));
  EXPECT_FALSE(passed) << "between 8 and 18 nothing goes";
  minute = 3 * 60;  // somebody sets the clock back
  payer.join();
  EXPECT_TRUE(passed);
}

TEST(RateLimitTest, StopEndsTheWait) {
  RateLimiter limiter({.rate = 1});
  limiter.pay(1'000'000, {});
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  const base::Stopwatch watch;
  limiter.pay(1, stop.get_token());
  EXPECT_LT(watch.elapsed(), std::chrono::seconds(10));
}

}  // namespace
}  // namespace icecore::staging
