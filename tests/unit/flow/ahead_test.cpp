// SPDX-License-Identifier: Apache-2.0
#include "flow/ahead.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>

namespace icecore::flow {
namespace {

TEST(Ahead, GoesBesideItsOwner) {
  std::atomic<bool> may_end = false;
  Ahead<std::thread::id> ahead([&] {
    may_end.wait(false);
    return std::this_thread::get_id();
  });
  EXPECT_FALSE(ahead.wait_for(std::chrono::milliseconds(1)));
  may_end = true;
  may_end.notify_all();
  while (!ahead.wait_for(std::chrono::seconds(1))) continue;
  EXPECT_TRUE(ahead.is_there());
  EXPECT_NE(ahead.get(), std::this_thread::get_id());
  EXPECT_FALSE(ahead.is_there());
}

TEST(Ahead, ItsErrorComesWhenTheResultIsAskedFor) {
  Ahead<int> ahead([]() -> int { throw std::runtime_error("no"); });
  EXPECT_THROW(ahead.get(), std::runtime_error);
}

TEST(Ahead, ItsEndIsWaitedForAndAnErrorNobodyAsksForIsForgotten) {
  std::atomic<bool> ended = false;
  {
    const Ahead<void> ahead([&] {
      ended = true;
      throw std::runtime_error("no");
    });
  }
  EXPECT_TRUE(ended);
  EXPECT_FALSE(Ahead<void>().is_there());
}

}  // namespace
}  // namespace icecore::flow
