// SPDX-License-Identifier: Apache-2.0
#include "flow/rendezvous.hpp"

#include <gtest/gtest.h>

#include <atomic>

#include "flow/ahead.hpp"

namespace icecore::flow {
namespace {

constexpr base::Milliseconds k_long = std::chrono::minutes(1);

TEST(Rendezvous, NobodyGoesOnBeforeAllHaveCome) {
  Rendezvous rendezvous(3, k_long);
  std::atomic<int> came = 0;
  const auto party = [&] {
    bool all_there = true;
    for (int meeting = 1; meeting <= 100; ++meeting) {
      ++came;
      all_there = rendezvous.meet() && came >= 3 * meeting && all_there;
    }
    return all_there;
  };
  Ahead<bool> one(party);
  Ahead<bool> two(party);
  EXPECT_TRUE(party());
  EXPECT_TRUE(one.get());
  EXPECT_TRUE(two.get());
}

TEST(Rendezvous, WhoWaitsIsToldThatSomebodyCannotCome) {
  Rendezvous rendezvous(2, k_long);
  Ahead<bool> waiting([&] { return rendezvous.meet(); });
  rendezvous.abandon();
  EXPECT_FALSE(waiting.get());
  EXPECT_FALSE(rendezvous.meet());
}

TEST(Rendezvous, WhoComesTooLateIsAloneForGood) {
  Rendezvous rendezvous(2, base::Milliseconds(1));
  EXPECT_FALSE(rendezvous.meet());
  EXPECT_FALSE(rendezvous.meet());
}

TEST(Rendezvous, OneAloneNeverWaits) {
  Rendezvous rendezvous(1, k_long);
  EXPECT_TRUE(rendezvous.meet());
  EXPECT_TRUE(rendezvous.meet());
}

}  // namespace
}  // namespace icecore::flow
