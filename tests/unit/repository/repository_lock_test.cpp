// SPDX-License-Identifier: Apache-2.0
#include "repository/repository_lock.hpp"

#include "repository/lock_list.hpp"
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
  {
    RepositoryLock prune(*repository_, LockMode::maintenance, "prune");
    {
      const RepositoryLock backup(*repository_, LockMode::shared, "backup of 'a'");
      expect_fault(Fault::busy, "backup of 'a'", [&] { prune.make_exclusive(); });
      const RepositoryLock another(*repository_, LockMode::shared, "backup of 'b'");
    }
    prune.make_exclusive();
    prune.check();
    expect_fault(Fault::busy, "prune", [&] { RepositoryLock(*repository_, LockMode::shared, "backup of 'a'"); });
  }
  EXPECT_TRUE(storage_.list("locks").empty());
}

// Other hosts list and read at any time: a lock that went away to come back would be missed by one of them.
TEST_F(RepositoryLockTest, AHeartbeatLeavesTheLockAsItIs) {
  class Watched : public icecore::contract::MemoryStorage {
   public:
    void replace(const std::string& name, base::ByteView bytes) override {
      EXPECT_FALSE(name.starts_with("locks/"));
      MemoryStorage::replace(name, bytes);
    }
    void remove(const std::string& name) override {
      removed.push_back(name);
      MemoryStorage::remove(name);
    }
    std::vector<std::string> removed;
  } watched;
  Repository::create(watched, small_options(), key());
  Repository repository(watched, key(), folder_ / "watched");
  {
    RepositoryLock lock(repository, LockMode::maintenance, "prune");
    const std::string id = lock.id();
    lock.make_exclusive();
    const base::Bytes before = watched.get(lock_object(id), 10000);
    lock.beat();
    lock.beat();
    EXPECT_EQ(watched.get(lock_object(id), 10000), before);
    EXPECT_EQ(lock.id(), id);
    EXPECT_TRUE(watched.removed.empty());
  }
  EXPECT_TRUE(watched.list("locks").empty());
  EXPECT_TRUE(watched.list("heartbeats").empty());
}

TEST_F(RepositoryLockTest, AHeartbeatTellsThatAnotherHostLives) {
  LockInfo lock = describe_self(LockMode::shared, "backup");
  lock.host = "elsewhere";
  lock.heartbeat -= std::chrono::hours(1);
  leave(lock);
  EXPECT_EQ(list_locks(*repository_).at(0).state, LockState::silent);
  const base::Timestamp seen = base::now();
  storage_.put(heartbeat_object(lock.id), encode_heartbeat(repository_->keys(), lock.id, seen));
  EXPECT_EQ(list_locks(*repository_).at(0).state, LockState::alive);
  EXPECT_EQ(list_locks(*repository_).at(0).lock.heartbeat, seen);
  storage_.replace(heartbeat_object(lock.id), base::as_bytes("rubbish"));
  EXPECT_EQ(list_locks(*repository_).at(0).state, LockState::silent);
}

TEST_F(RepositoryLockTest, LockOfADeadProcessIsRemoved) {
  LockInfo lock = describe_self(LockMode::exclusive, "prune");
  lock.process_start = "1";  // our pid, but another process
  leave(lock);
  const RepositoryLock own(*repository_, LockMode::exclusive, "prune");
  EXPECT_EQ(storage_.list("locks").size(), 1U);
}

TEST_F(RepositoryLockTest, LockFromBeforeABootIsDead) {
  LockInfo self = describe_self(LockMode::shared, "backup");
  self.machine_id = "0123456789abcdef0123456789abcdef";
  LockInfo other = self;
  other.boot_id = "another";
  EXPECT_EQ(judge(other, self, base::now()), LockState::dead);
}

// Containers of one image: same name, and a machine id that is empty or none. Each would take the other's for its own
// dead process.
TEST_F(RepositoryLockTest, WithoutAMachineIdAnotherBootIsAnotherHost) {
  LockInfo self = describe_self(LockMode::shared, "backup");
  self.machine_id = "";
  LockInfo other = self;
  other.process_start = "1";
  EXPECT_EQ(judge(other, self, base::now()), LockState::dead) << "pids mean the same to both";
  other.pid_namespace = "pid:[1]";
  EXPECT_EQ(judge(other, self, base::now()), LockState::alive) << "another container of this machine";
  other.boot_id = "another";
  EXPECT_EQ(judge(other, self, base::now()), LockState::alive) << "a container of another machine";
  other.heartbeat -= std::chrono::hours(1);
  EXPECT_EQ(judge(other, self, base::now()), LockState::silent);
}

// /proc is not mounted everywhere.
TEST_F(RepositoryLockTest, WhatIsNotKnownMakesNobodyDead) {
  const LockInfo full = describe_self(LockMode::shared, "backup");
  LockInfo self = full;
  self.boot_id = self.pid_namespace = "";
  LockInfo other = full;
  other.process_start = "1";
  EXPECT_EQ(judge(other, self, base::now()), LockState::alive);
  other.boot_id = other.pid_namespace = "";
  EXPECT_EQ(judge(other, self, base::now()), LockState::alive);
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

TEST_F(RepositoryLockTest, DamagedLockIsNamedWithWhatRemovesIt) {
  storage_.put("locks/0123", base::as_bytes("rubbish"));
  try {
    RepositoryLock(*repository_, LockMode::shared, "backup");
    ADD_FAILURE() << "nobody knows what its holder does";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), Fault::corrupt);
    EXPECT_NE(std::string(error.what()).find("locks/0123"), std::string::npos);
    EXPECT_NE(error.hint().find("icecore unlock 0123"), std::string::npos) << error.hint();
  }
  EXPECT_EQ(storage_.list("locks").size(), 1U);
}

}  // namespace
}  // namespace icecore::repository
