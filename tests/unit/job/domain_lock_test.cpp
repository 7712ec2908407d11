// SPDX-License-Identifier: Apache-2.0
#include "job/domain_lock.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/id.hpp"

namespace icecore::job {
namespace {

class DomainLockTest : public testing::Test {
 protected:
  void TearDown() override {
    std::error_code not_there;  // another user's locks lie elsewhere
    std::filesystem::remove("/run/icecore/domains/" + uuid_ + ".lock", not_there);
  }
  const std::string uuid_ = base::random_uuid();
};

TEST_F(DomainLockTest, IsHeldByWhoHasItOnly) {
  EXPECT_FALSE(DomainLock::is_held(uuid_));
  {
    const DomainLock lock(uuid_, "web1");
    EXPECT_TRUE(DomainLock::is_held(uuid_));
    EXPECT_FALSE(DomainLock::try_lock(uuid_));
    try {
      DomainLock(uuid_, "web1");
      ADD_FAILURE() << "two have it";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), base::Fault::busy) << error.what();
    }
  }
  EXPECT_FALSE(DomainLock::is_held(uuid_));
  EXPECT_TRUE(DomainLock::try_lock(uuid_));
}

// Such as doctors: they hold nothing between two looks, and see nobody but a job in each other.
TEST_F(DomainLockTest, WhoAsksIsNotTakenForAJob) {
  constexpr int k_questions = 2000;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      for (int question = 0; question < k_questions; ++question) EXPECT_FALSE(DomainLock::is_held(uuid_));
    });
  }
}

TEST_F(DomainLockTest, WhoAsksLocksNoJobOut) {
  constexpr int k_jobs = 20;
  std::jthread doctor([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) DomainLock::is_held(uuid_);
  });
  for (int job = 0; job < k_jobs; ++job) {
    EXPECT_NO_THROW(DomainLock(uuid_, "web1"));
    EXPECT_TRUE(DomainLock::try_lock(uuid_)) << "a recovery";
  }
}

}  // namespace
}  // namespace icecore::job
