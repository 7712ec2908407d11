// SPDX-License-Identifier: Apache-2.0
#include "storage/backoff.hpp"

#include <gtest/gtest.h>

#include <set>

namespace icecore::storage {
namespace {

using base::Milliseconds;

constexpr BackoffSettings k_settings{Milliseconds(100), Milliseconds(1000), Milliseconds(10'000)};

TEST(Backoff, PausesGrowToTheLongest) {
  Backoff backoff(k_settings);
  Milliseconds step{100};
  for (int i = 0; i < 8; ++i) {
    const auto pause = backoff.next(Milliseconds(0));
    ASSERT_TRUE(pause);
    EXPECT_GE(*pause, step / 2);
    EXPECT_LE(*pause, step);
    step = std::min(step * 2, Milliseconds(1000));
  }
}

TEST(Backoff, ManyHostsDoNotCallAtOnce) {
  std::set<Milliseconds> pauses;
  for (int i = 0; i < 20; ++i) pauses.insert(*Backoff(k_settings).next(Milliseconds(0)));
  EXPECT_GT(pauses.size(), 1U);
}

TEST(Backoff, GivesUpInTime) {
  Backoff backoff(k_settings);
  EXPECT_TRUE(backoff.next(Milliseconds(9'000)));
  EXPECT_FALSE(backoff.next(Milliseconds(9'999)));
  EXPECT_FALSE(backoff.next(Milliseconds(20'000)));
}

}  // namespace
}  // namespace icecore::storage
