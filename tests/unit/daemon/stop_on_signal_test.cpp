// SPDX-License-Identifier: Apache-2.0
#include "daemon/stop_on_signal.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <future>

namespace icecore::daemon {
namespace {

using std::chrono::seconds;

class StopOnSignalEach : public testing::TestWithParam<int> {};

TEST_P(StopOnSignalEach, RequestsStop) {
  std::promise<void> stopped;
  const StopOnSignal stop([&] { stopped.set_value(); });
  EXPECT_FALSE(stop.token().stop_requested());
  ::kill(::getpid(), GetParam());
  ASSERT_EQ(stopped.get_future().wait_for(seconds(10)), std::future_status::ready);
  EXPECT_TRUE(stop.token().stop_requested());
}

INSTANTIATE_TEST_SUITE_P(All, StopOnSignalEach, testing::Values(SIGINT, SIGTERM, SIGHUP));

TEST(StopOnSignal, ASecondSignalChangesNothing) {
  int calls = 0;
  {
    std::promise<void> first;
    const StopOnSignal stop([&] {
      ++calls;
      first.set_value();
    });
    ::kill(::getpid(), SIGINT);
    ASSERT_EQ(first.get_future().wait_for(seconds(10)), std::future_status::ready);
    ::kill(::getpid(), SIGINT);
    ::kill(::getpid(), SIGTERM);
  }
  EXPECT_EQ(calls, 1);
}

TEST(StopOnSignal, EndsWithoutASignal) {
  const StopOnSignal stop;
  EXPECT_FALSE(stop.token().stop_requested());
}

// The process ends then, with what it has to say.
TEST(StopOnSignal, ASignalAfterwardsKillsNobody) {
  { const StopOnSignal stop; }
  ::kill(::getpid(), SIGTERM);
}

}  // namespace
}  // namespace icecore::daemon
