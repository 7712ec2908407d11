// SPDX-License-Identifier: Apache-2.0
#include "job/held_lock.hpp"

#include <thread>

#include "repository/lock_list.hpp"
#include "unit/repository/fixture.hpp"

namespace icecore::job {
namespace {

class HeldLockTest : public repository::RepositoryFixture {
 protected:
  void SetUp() override {
    RepositoryFixture::SetUp();
    create();
  }
  // As other hosts see it.
  base::Timestamp heartbeat() { return repository::list_locks(*repository_).at(0).lock.heartbeat; }
  bool beats_after(base::Timestamp time) {
    const base::Stopwatch watch;
    while (heartbeat() <= time && watch.elapsed() < std::chrono::seconds(20)) std::this_thread::yield();
    return heartbeat() > time;
  }
};

TEST_F(HeldLockTest, BeatsWhileItsJobDoesSomethingElse) {
  {
    const HeldLock held(
        *repository_, "backup of 'web1'", [] {}, base::Milliseconds(1));
    ASSERT_TRUE(beats_after(heartbeat()));
    ASSERT_TRUE(beats_after(heartbeat())) << "once is not enough";
  }
  EXPECT_TRUE(storage_.list("locks").empty());
  EXPECT_TRUE(storage_.list("heartbeats").empty());
}

// A host that takes five minutes without a beat for long ago would be wrong.
TEST_F(HeldLockTest, BeatsOftenEnoughByItself) {
  EXPECT_LT(2 * repository::k_lock_heartbeat, repository::k_lock_stale);
}

}  // namespace
}  // namespace icecore::job
