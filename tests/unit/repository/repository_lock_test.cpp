// SPDX-License-Identifier: Apache-2.0
#include "repository/repository_lock.hpp"

#include "unit/repository/fixture.hpp"

namespace icecore::repository {
namespace {

using base::Fault;

class RepositoryLockTest : public RepositoryFixture {
 protected:
  void SetUp() override {
    RepositoryFixture::SetUp();
    create();
  }
  void leave(const LockInfo& lock) { storage_.put(lock_object(lock.id), encode_lock(repository_->keys(), lock)); }
};

TEST_F(RepositoryLockTest, SharedGoTogetherExclusiveAlone) {
  {
    const RepositoryLock one(*repository_, LockMode::shared, "backup of 'a'");
    const RepositoryLock two(*repository_, LockMode::shared, "backup of 'b'");
    expect_fault(Fault::busy, "in use since", [&] { RepositoryLock(*repository_, LockMode::exclusive, "prune"); });
    EXPECT_EQ(storage_.list("locks").size(), 2U);
  }
  const RepositoryLock prune(*repository_, LockMode::exclusive, "prune");
  expect_fault(Fault::busy, "prune", [&] { RepositoryLock(*repository_, LockMode::shared, "backup of 'a'"); });
  EXPECT_EQ(storage_.list("locks").size(), 1U);
}

TEST_F(RepositoryLockTest, MaintenanceGoesWithSharedOnly) {
  const RepositoryLock backup(*repository_, LockMode::shared, "backup of 'a'");
  const RepositoryLock prune(*repository_, LockMode::maintenance, "prune");
  const RepositoryLock another(*repository_, LockMode::shared, "backup of 'b'");
  expect_fault(Fault::busy, "prune", [&] { RepositoryLock(*repository_, LockMode::maintenance, "repair"); });
  expect_fault(Fault::busy, "in use", [&] { RepositoryLock(*repository_, LockMode::exclusive, "prune"); });
}

TEST_F(RepositoryLockTest, MaintenanceBecomesExclusiveWhenAlone) {
  RepositoryLock prune(*repository_, LockMode::maintenance, "prune");
  {
    const RepositoryLock backup(*repository_, LockMode::shared, "backup of 'a'");
    expect_fault(Fault::busy, "backup of 'a'", [&] { prune.make_exclusive(); });
    const RepositoryLock another(*repository_, LockMode::shared, "backup of 'b'");
  }
  prune.make_exclusive();
  expect_fault(Fault::busy, "prune", [&] { RepositoryLock(*repository_, LockMode::shared, "backup of 'a'"); });
  EXPECT_EQ(storage_.list("locks").size(), 1U);
}

TEST_F(RepositoryLockTest, LockOfADeadProcessIsRemoved) {
  LockInfo lock = describe_self(LockMode::exclusive, "prune");
  lock.process_start = "1";  // our pid, but another process
  leave(lock);
  const RepositoryLock own(*repository_, LockMode::exclusive, "prune");
  EXPECT_EQ(storage_.list("locks").size(), 1U);
}

TEST_F(RepositoryLockTest, LockFromBeforeABootIsDead) {
  const LockInfo self = describe_self(LockMode::shared, "backup");
  LockInfo other = self;
  other.boot_id = "another";
  EXPECT_EQ(judge(other, self, base::now()), LockState::dead);
}

TEST_F(RepositoryLockTest, OtherHostsAreJudgedByHeartbeatAndNeverRemoved) {
  LockInfo lock = describe_self(LockMode::exclusive, "prune");
  lock.host = "elsewhere";
  lock.pid = 1;
  leave(lock);
  expect_fault(Fault::busy, "on 'elsewhere'", [&] { RepositoryLock(*repository_, LockMode::shared, "backup"); });
  lock.heartbeat -= std::chrono::hours(1);
  storage_.replace(lock_object(lock.id), encode_lock(repository_->keys(), lock));
  expect_fault(Fault::busy, "silent since", [&] { RepositoryLock(*repository_, LockMode::shared, "backup"); });
  EXPECT_TRUE(storage_.exists(lock_object(lock.id)));
}

TEST_F(RepositoryLockTest, LockThatSomebodyRemovedIsNoticedAtOnce) {
  RepositoryLock lock(*repository_, LockMode::shared, "backup");
  EXPECT_TRUE(storage_.exists(lock_object(lock.id())));
  lock.check();
  storage_.remove(lock_object(lock.id()));
  lock.refresh();  // no heartbeat is due: it does not ask
  expect_fault(Fault::conflict, "somebody removed our lock", [&] { lock.check(); });
}

TEST_F(RepositoryLockTest, DamagedLockIsNamed) {
  storage_.put("locks/0123", base::as_bytes("rubbish"));
  expect_fault(Fault::corrupt, "locks/0123", [&] { RepositoryLock(*repository_, LockMode::shared, "backup"); });
}

}  // namespace
}  // namespace icecore::repository
