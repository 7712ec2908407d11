// SPDX-License-Identifier: Apache-2.0
// The promises of ByteQueue: order, the bound in bytes, and that closing wakes everybody.
#include "flow/byte_queue.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

namespace icecore::flow {
namespace {

TEST(ByteQueue, KeepsOrderAndDrainsAfterClose) {
  ByteQueue<int> queue(100);
  EXPECT_TRUE(queue.push(1, 10));
  EXPECT_TRUE(queue.push(2, 10));
  EXPECT_EQ(queue.bytes(), 20U);
  queue.close();
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), 2);
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_EQ(queue.bytes(), 0U);
}

TEST(ByteQueue, RefusesItemsAfterClose) {
  ByteQueue<int> queue(100);
  queue.close();
  EXPECT_FALSE(queue.push(1, 1));
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(ByteQueue, BlocksTheProducerAtTheBound) {
  ByteQueue<int> queue(100);
  ASSERT_TRUE(queue.push(1, 60));
  ASSERT_TRUE(queue.push(2, 40));
  std::atomic<bool> passed = false;
  std::jthread producer([&] {
    EXPECT_TRUE(queue.push(3, 1));
    passed = true;
  });
  EXPECT_EQ(queue.bytes(), 100U);
  EXPECT_FALSE(passed);
  EXPECT_EQ(queue.pop(), 1);
  producer.join();
  EXPECT_EQ(queue.bytes(), 41U);
}

TEST(ByteQueue, LetsAnOversizedItemPassAlone) {
  ByteQueue<int> queue(100);
  EXPECT_TRUE(queue.push(1, 5000));
  std::atomic<bool> passed = false;
  std::jthread producer([&] {
    EXPECT_TRUE(queue.push(2, 1));
    passed = true;
  });
  EXPECT_FALSE(passed);
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), 2);
}

TEST(ByteQueue, OneLargeItemMakesRoomForSeveralProducers) {
  ByteQueue<int> queue(100);
  ASSERT_TRUE(queue.push(0, 100));
  std::vector<std::jthread> producers;
  for (int i = 1; i <= 4; ++i) producers.emplace_back([&queue, i] { EXPECT_TRUE(queue.push(i, 20)); });
  EXPECT_EQ(queue.pop(), 0);
  producers.clear();
  EXPECT_EQ(queue.bytes(), 80U);
}

TEST(ByteQueue, CloseWakesProducersAndConsumers) {
  ByteQueue<int> full(1);
  ByteQueue<int> empty(1);
  ASSERT_TRUE(full.push(1, 1));
  std::latch started(4);
  std::vector<std::jthread> sleepers;
  for (int i = 0; i < 2; ++i) {
    sleepers.emplace_back([&] {
      started.count_down();
      EXPECT_FALSE(full.push(2, 1));
    });
    sleepers.emplace_back([&] {
      started.count_down();
      EXPECT_EQ(empty.pop(), std::nullopt);
    });
  }
  started.wait();
  full.close();
  empty.close();
  sleepers.clear();
  EXPECT_EQ(full.pop(), 1);
}

TEST(ByteQueue, AbandonDropsWhatIsQueued) {
  ByteQueue<std::shared_ptr<int>> queue(100);
  auto item = std::make_shared<int>(7);
  ASSERT_TRUE(queue.push(item, 1));
  queue.abandon();
  EXPECT_EQ(item.use_count(), 1);
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_FALSE(queue.push(item, 1));
}

TEST(ByteQueue, CarriesEveryItemOnceBetweenManyThreads) {
  constexpr int k_each = 5000;
  ByteQueue<int> queue(64);
  std::atomic<long> sum = 0;
  std::vector<std::jthread> consumers;
  for (int i = 0; i < 3; ++i) {
    consumers.emplace_back([&] {
      while (const auto item = queue.pop()) sum += *item;
    });
  }
  {
    std::vector<std::jthread> producers;
    for (int i = 0; i < 3; ++i) {
      producers.emplace_back([&] {
        for (int item = 1; item <= k_each; ++item) queue.push(item, static_cast<std::size_t>(item % 17));
      });
    }
  }
  queue.close();
  consumers.clear();
  EXPECT_EQ(sum, 3L * k_each * (k_each + 1) / 2);
}

}  // namespace
}  // namespace icecore::flow
