// SPDX-License-Identifier: Apache-2.0
#include "flow/periodic.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

namespace icecore::flow {
namespace {

TEST(Periodic, RunsAgainAfterAFailureAndEndsAtOnce) {
  std::atomic<int> runs = 0;
  const base::Stopwatch watch;
  {
    const Periodic periodic("test", base::Milliseconds(5), [&] {
      runs.fetch_add(1);
      runs.notify_all();
      throw std::runtime_error("not now");
    });
    for (int seen = 0; seen < 3; seen = runs.load()) runs.wait(seen);
  }
  const int at_end = runs.load();
  EXPECT_GE(at_end, 3);
  EXPECT_GE(watch.elapsed(), base::Milliseconds(15));
}

TEST(Periodic, LongPeriodDoesNotHoldTheEnd) {
  const base::Stopwatch watch;
  {
    const Periodic periodic("test", std::chrono::hours(1), [] { FAIL() << "too early"; });
  }
  EXPECT_LT(watch.elapsed(), std::chrono::seconds(30));
}

}  // namespace
}  // namespace icecore::flow
