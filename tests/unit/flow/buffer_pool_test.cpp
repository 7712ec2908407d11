// SPDX-License-Identifier: Apache-2.0
// The promises of BufferPool: a fixed number of buffers, given back from anywhere, waiting when all are out.
#include "flow/buffer_pool.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <thread>
#include <vector>

namespace icecore::flow {
namespace {

TEST(BufferPool, HandsOutDistinctBuffersAndNoMoreThanItHas) {
  BufferPool pool(4096, 2);
  Buffer one = pool.take();
  Buffer two = pool.take();
  ASSERT_TRUE(one && two);
  EXPECT_NE(one.data(), two.data());
  EXPECT_FALSE(pool.try_take());
  std::memset(one.data(), 1, pool.buffer_bytes());
  std::memset(two.data(), 2, pool.buffer_bytes());
  EXPECT_EQ(one.first(4096).back(), std::byte{1});
}

TEST(BufferPool, ReusesTheWarmestBuffer) {
  BufferPool pool(4096, 8);
  Buffer buffer = pool.take();
  const std::byte* const where = buffer.data();
  buffer.reset();
  EXPECT_EQ(pool.take().data(), where);
}

TEST(BufferPool, WaitsForABufferToComeBack) {
  BufferPool pool(4096, 1);
  Buffer only = pool.take();
  std::jthread taker([&] { EXPECT_TRUE(pool.take()); });
  only.reset();
}

TEST(BufferPool, AbandonWakesTheWaiters) {
  BufferPool pool(4096, 1);
  const Buffer only = pool.take();
  std::jthread taker([&] { EXPECT_FALSE(pool.take()); });
  pool.abandon();
  taker.join();
  EXPECT_FALSE(pool.take());
}

TEST(BufferPool, BuffersMayOutliveThePool) {
  std::optional<BufferPool> pool(std::in_place, 4096, 1);
  Buffer buffer = pool->take();
  pool.reset();
  buffer.data()[4095] = std::byte{9};
  Buffer moved = std::move(buffer);
  EXPECT_FALSE(buffer);
  EXPECT_EQ(moved.data()[4095], std::byte{9});
}

TEST(BufferPool, MoveAssignmentGivesTheOldBufferBack) {
  BufferPool pool(4096, 2);
  Buffer one = pool.take();
  one = pool.take();
  EXPECT_TRUE(pool.try_take());
}

TEST(BufferPool, GoesRoundBetweenManyThreads) {
  BufferPool pool(4096, 3);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&pool, i] {
      for (int round = 0; round < 2000; ++round) {
        Buffer buffer = pool.take();
        buffer.data()[0] = static_cast<std::byte>(i);
        EXPECT_EQ(buffer.data()[0], static_cast<std::byte>(i));
      }
    });
  }
}

}  // namespace
}  // namespace icecore::flow
