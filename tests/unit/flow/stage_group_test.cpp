// SPDX-License-Identifier: Apache-2.0
// The promises of StageGroup: first error wins, nobody sleeps on, everything joined, stop becomes cancelled.
#include "flow/stage_group.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <stdexcept>

#include "base/error.hpp"
#include "flow/buffer_pool.hpp"
#include "flow/byte_queue.hpp"

namespace icecore::flow {
namespace {

TEST(StageGroup, MovesItemsThroughThreeStages) {
  ByteQueue<int> numbers(64);
  ByteQueue<int> squares(64);
  std::atomic<long> sum = 0;
  StageGroup group;
  group.watch(numbers);
  group.watch(squares);
  group.run(
      "count", 1,
      [&](std::stop_token) {
        for (int i = 1; i <= 1000; ++i) numbers.push(i, 4);
      },
      [&] { numbers.close(); });
  group.run(
      "square", 3,
      [&](std::stop_token) {
        while (const auto item = numbers.pop()) squares.push(*item * *item, 4);
      },
      [&] { squares.close(); });
  group.run("sum", 2, [&](std::stop_token) {
    while (const auto item = squares.pop()) sum += *item;
  });
  group.join();
  EXPECT_EQ(sum, 333833500L);
}

TEST(StageGroup, RethrowsTheFirstErrorAndWakesEverybody) {
  ByteQueue<int> full(1);
  ByteQueue<int> empty(1);
  BufferPool pool(4096, 1);
  const Buffer taken = pool.take();
  ASSERT_TRUE(full.push(0, 1));
  std::latch asleep(3);
  StageGroup group;
  group.watch(full);
  group.watch(empty);
  group.watch(pool);
  group.run("producer", 1, [&](std::stop_token) {
    asleep.count_down();
    EXPECT_FALSE(full.push(1, 1));
    throw std::runtime_error("a later error");
  });
  group.run("consumer", 1, [&](std::stop_token) {
    asleep.count_down();
    EXPECT_EQ(empty.pop(), std::nullopt);
  });
  group.run("taker", 1, [&](std::stop_token) {
    asleep.count_down();
    EXPECT_FALSE(pool.take());
  });
  group.run("fails", 1, [&](std::stop_token) {
    asleep.wait();
    base::fail(base::Fault::corrupt, "the first error");
  });
  try {
    group.join();
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_STREQ(error.what(), "the first error");
  }
}

TEST(StageGroup, StagesSeeTheStopOfAFailure) {
  StageGroup group;
  group.run("polls", 1, [&](std::stop_token stop) {
    while (!stop.stop_requested()) std::this_thread::yield();
  });
  group.run("fails", 1, [](std::stop_token) { throw std::runtime_error("no"); });
  EXPECT_THROW(group.join(), std::runtime_error);
}

TEST(StageGroup, FinishedRunsOnceAfterTheLastThread) {
  std::atomic<int> ended = 0;
  std::atomic<int> finished = 0;
  StageGroup group;
  group.run(
      "work", 4, [&](std::stop_token) { ++ended; },
      [&] {
        EXPECT_EQ(ended, 4);
        ++finished;
      });
  group.join();
  EXPECT_EQ(finished, 1);
}

TEST(StageGroup, FinishedDoesNotRunWhenAThreadOfTheStageFailed) {
  std::atomic<int> count = 0;
  std::atomic<bool> finished = false;
  StageGroup group;
  group.run(
      "work", 3,
      [&](std::stop_token) {
        if (++count == 2) throw std::runtime_error("one of three");
      },
      [&] { finished = true; });
  EXPECT_THROW(group.join(), std::runtime_error);
  EXPECT_FALSE(finished);
}

TEST(StageGroup, AStopFromOutsideEndsAsCancelled) {
  std::stop_source outside;
  ByteQueue<int> queue(1);
  StageGroup group(outside.get_token());
  group.watch(queue);
  std::latch started(1);
  group.run("consumer", 1, [&](std::stop_token) {
    started.count_down();
    EXPECT_EQ(queue.pop(), std::nullopt);
  });
  started.wait();
  outside.request_stop();
  try {
    group.join();
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::cancelled);
  }
}

TEST(StageGroup, AStopBeforeTheStartAbandonsWhatIsWatched) {
  std::stop_source outside;
  outside.request_stop();
  ByteQueue<int> queue(1);
  StageGroup group(outside.get_token());
  group.watch(queue);
  EXPECT_FALSE(queue.push(1, 1));
  EXPECT_THROW(group.join(), base::Error);
}

TEST(StageGroup, DestructionWithoutJoinEndsTheThreads) {
  ByteQueue<int> queue(1);
  std::atomic<bool> ended = false;
  {
    StageGroup group;
    group.watch(queue);
    group.run("consumer", 1, [&](std::stop_token) {
      queue.pop();
      ended = true;
    });
  }
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace icecore::flow
