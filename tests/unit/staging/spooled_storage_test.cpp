// SPDX-License-Identifier: Apache-2.0
#include <atomic>

#include "repository/repository_lock.hpp"
#include "unit/staging/fixture.hpp"

namespace icecore::staging {
namespace {

using base::Fault;
using repository::expect_fault;

using SpooledStorageTest = SpoolFixture;

TEST_F(SpooledStorageTest, ReadsSeeBothSidesAsOne) {
  Process process = open();
  remote_.objects.put("packs/aa/far", base::as_bytes("far away"));
  process.storage->put("packs/bb/near", base::as_bytes("here"));
  EXPECT_FALSE(remote_.objects.exists("packs/bb/near"));
  EXPECT_EQ(base::to_string(process.storage->get("packs/bb/near", 100)), "here");
  EXPECT_EQ(base::to_string(process.storage->get_range("packs/aa/far", 4, 4)), "away");
  EXPECT_TRUE(process.storage->exists("packs/aa/far") && process.storage->exists("packs/bb/near"));
  EXPECT_EQ(process.storage->list("packs").size(), 2U);
  process.storage->remove("packs/bb/near");
  EXPECT_FALSE(process.storage->exists("packs/bb/near"));
}

// With one connection they would cost another login, which takes longer than asking for them afterwards.
TEST_F(SpooledStorageTest, SlotsAreAskedForAheadOnlyOverAConnectionOfTheirOwn) {
  std::atomic<int> asked = 0;
  remote_.before_list([&](const std::string& folder) { asked += folder == "keys" ? 1 : 0; });
  { open_storage(); }
  EXPECT_EQ(asked, 0);
  const auto storage = open_storage(0, /*side_by_side=*/true);
  EXPECT_TRUE(comes_true([&] { return asked == 1; }));
  EXPECT_EQ(storage->list("keys").size(), 1U);
  EXPECT_EQ(asked, 1) << "what was asked for ahead is used";
  EXPECT_EQ(storage->list("keys").size(), 1U);
  EXPECT_EQ(asked, 2) << "once";
}

TEST_F(SpooledStorageTest, DeadRemoteTakesAWholeBackup) {
  Process first = open();
  const std::string early = back_up(first, seeds(1, 8));
  upload(first);
  first = {};
  remote_.fail_all(Fault::unavailable);
  Process process = open();
  const repository::RepositoryLock lock(*process.repository, repository::LockMode::shared, "backup of 'web1'");
  const std::string late = back_up(process, seeds(1, 12));
  EXPECT_TRUE(is_pending(process.storage->spool(), late));
  EXPECT_FALSE(process.storage->trouble().empty());
  EXPECT_EQ(repository::list_manifest_objects(*process.repository), std::vector<std::string>{late});
  EXPECT_LT(process.storage->spool().queue().bytes_queued(), 6 * k_block) << "blocks the remote has are not kept twice";
  remote_.fail_all(std::nullopt);
  upload(process);
  const auto remote = open_remote();
  EXPECT_EQ(read_point(*remote, late), make_image(seeds(1, 12)));
  EXPECT_EQ(read_point(*remote, early), make_image(seeds(1, 8)));
}

TEST_F(SpooledStorageTest, DeadRemoteThatWasNeverSeenIsUnavailable) {
  remote_.fail_all(Fault::unavailable);
  expect_fault(Fault::unavailable, "remote", [&] { open(); });
}

TEST_F(SpooledStorageTest, DeadRemoteIsAskedOnceAndThenLeftAlone) {
  open();
  remote_.fail_all(Fault::unavailable);
  Process process = open();
  const std::uint64_t before = remote_.calls();
  back_up(process, seeds(1, 8));
  EXPECT_EQ(remote_.calls(), before);
}

TEST_F(SpooledStorageTest, OtherRepositoryBelowTheSameUrlIsAConflict) {
  open();
  remote_.objects.clear();
  repository::Repository::create(remote_.objects, small_options(), key());
  expect_fault(Fault::conflict, "not the one", [&] { open(); });
}

TEST_F(SpooledStorageTest, OtherRepositoryThatComesBackIsNotWrittenTo) {
  open();
  remote_.fail_all(Fault::unavailable);
  Process process = open();
  back_up(process, seeds(1, 4));
  remote_.objects.clear();
  repository::Repository::create(remote_.objects, small_options(), key());
  remote_.fail_all(std::nullopt);
  expect_fault(Fault::conflict, "not the one", [&] { upload(process); });
  EXPECT_TRUE(names_of("packs").empty());
}

TEST_F(SpooledStorageTest, OtherRepositoryCostsNoPoint) {
  open();
  remote_.fail_all(Fault::unavailable);
  Process process = open();
  const std::string point = back_up(process, {});  // a manifest alone
  const base::Bytes config = remote_.objects.get("config", base::k_mib);
  remote_.objects.replace("config", base::as_bytes("of somebody else"));
  remote_.fail_all(std::nullopt);
  expect_fault(Fault::conflict, "not the one", [&] { upload(process); });
  EXPECT_TRUE(is_pending(process.storage->spool(), point));
  remote_.objects.replace("config", config);
  EXPECT_EQ(upload(process).published, std::vector<std::string>{point});
}

TEST_F(SpooledStorageTest, RemovedKeySlotNoLongerOpensFromTheCache) {
  open();
  for (const std::string& name : names_of("keys")) remote_.objects.remove(name);
  EXPECT_THROW(open(), base::Error);
  remote_.fail_all(Fault::unavailable);
  EXPECT_THROW(open(), base::Error);
}

// As of a point that turns out incomplete just then.
TEST_F(SpooledStorageTest, WhatIsRemovedWhileTheRemoteIsSilentIsNeverUploaded) {
  Process process = open();
  const std::string point = back_up(process, seeds(1, 4));
  remote_.fail_all(Fault::unavailable);
  EXPECT_THROW(process.storage->remove(point), base::Error);
  EXPECT_FALSE(is_pending(process.storage->spool(), point));
  remote_.fail_all(std::nullopt);
  EXPECT_TRUE(upload(process).published.empty());
  EXPECT_TRUE(names_of("manifests").empty());
}

TEST_F(SpooledStorageTest, FullSpoolWaitsUntilTheHookEndsIt) {
  Process process = open(/*bytes_max=*/3000);
  process.storage->put("packs/aa/one", base::Bytes(2000));
  int calls = 0;
  process.storage->set_wait_hook([&] {
    if (++calls == 3) base::fail(Fault::no_space, "the overlay needs the room");
  });
  expect_fault(Fault::no_space, "the overlay needs the room",
               [&] { process.storage->put("packs/bb/two", base::Bytes(2000)); });
  EXPECT_EQ(calls, 3);
  EXPECT_FALSE(process.storage->exists("packs/bb/two"));
  process.storage->put("packs/cc/three", base::Bytes(500));
}

TEST_F(SpooledStorageTest, FullSpoolWithoutAHookIsNoSpace) {
  Process process = open(/*bytes_max=*/3000);
  process.storage->put("packs/aa/one", base::Bytes(5000));  // larger than the spool: it passes when that is empty
  expect_fault(Fault::no_space, "is full", [&] { process.storage->put("packs/bb/two", base::Bytes(1)); });
}

TEST_F(SpooledStorageTest, LockIsTakenOnTheRemoteAndDoneWithoutWhenThereIsNone) {
  Process process = open();
  {
    const repository::RepositoryLock lock(*process.repository, repository::LockMode::shared, "backup");
    EXPECT_EQ(names_of("locks").size(), 1U);
  }
  EXPECT_TRUE(names_of("locks").empty());
  remote_.fail_all(Fault::unavailable);
  repository::RepositoryLock lock(*process.repository, repository::LockMode::shared, "backup");
  lock.check();
  lock.beat();
}

TEST_F(SpooledStorageTest, ObjectThatWasNotQueuedIsNotSeen) {
  Process process = open();
  process.storage->spool().objects().put("index/half", base::as_bytes("killed before its row"));
  EXPECT_TRUE(process.storage->list("index").empty());
}

TEST_F(SpooledStorageTest, FullSpoolThatNobodyEmptiesHoldsNoGuest) {
  Process process = open(/*bytes_max=*/3000);
  process.storage->put("packs/aa/one", base::Bytes(2000));
  process.storage->set_wait_hook([] {});
  expect_fault(Fault::no_space, "nobody uploads", [&] { process.storage->put("packs/bb/two", base::Bytes(2000)); });
}

TEST_F(SpooledStorageTest, RemoteThatTakesNoLockHoldsNoBackup) {
  for (const Fault fault : {Fault::denied, Fault::no_space}) {
    Process process = open();
    remote_.fail_puts("locks", fault);
    repository::RepositoryLock lock(*process.repository, repository::LockMode::shared, "backup of 'web1'");
    back_up(process, seeds(1, 8));
    lock.check();
    remote_.fail_puts("", std::nullopt);
  }
}

// What can be told without it is told; the point waits for whoever gives the permission back.
TEST_F(SpooledStorageTest, RemoteThatLetsUsNoLongerHoldsNoBackup) {
  Process process = open();
  const std::string early = back_up(process, seeds(1, 8));
  upload(process);
  remote_.fail_all(Fault::denied);
  const std::string late = back_up(process, seeds(1, 12));
  EXPECT_NE(process.storage->trouble(), "");
  EXPECT_EQ(repository::list_manifest_objects(*process.repository), std::vector<std::string>{late});
  expect_fault(Fault::denied, "does not work now", [&] { process.storage->list("packs"); });
  expect_fault(Fault::denied, "does not work now", [&] { read_point(*process.repository, early); });
  remote_.fail_all(std::nullopt);
  EXPECT_EQ(upload(process).published, std::vector<std::string>{late});
  EXPECT_EQ(read_point(*open_remote(), late), make_image(seeds(1, 12)));
}

// The disk goes and leaves an empty mount point.
TEST_F(SpooledStorageTest, UnmountedDiskIsNoRemovedLock) {
  Process process = open();
  repository::RepositoryLock lock(*process.repository, repository::LockMode::shared, "backup of 'web1'");
  remote_.objects.clear();
  lock.check();
  back_up(process, seeds(1, 8));
}

TEST_F(SpooledStorageTest, UnmountedDiskOfAKnownRepositoryIsARemoteThatIsAway) {
  open();
  remote_.objects.clear();
  Process process = open();
  EXPECT_NE(process.storage->trouble().find("is not in 'memory' now"), std::string::npos) << process.storage->trouble();
  EXPECT_TRUE(is_pending(process.storage->spool(), back_up(process, seeds(1, 8))));
}

// After a crash nothing of the index is cached but what lies in the spool's folder.
TEST_F(SpooledStorageTest, LostIndexCacheAndADeadRemote) {
  UploadOptions options = fast();
  options.keep_local = 1;
  Process process = open();
  const std::string early = back_up(process, seeds(1, 8));
  upload(process, options);
  process = {};
  std::filesystem::remove_all(folder_ / "cache");
  remote_.fail_all(Fault::unavailable);
  process = open();
  EXPECT_EQ(read_point(*process.repository, early), make_image(seeds(1, 8)));
  const std::string late = back_up(process, seeds(1, 12));
  remote_.fail_all(std::nullopt);
  EXPECT_EQ(upload(process).published, std::vector<std::string>{late});
  EXPECT_EQ(read_point(*open_remote(), late), make_image(seeds(1, 12)));
}

TEST_F(SpooledStorageTest, StoppedReadSaysThatItWasStopped) {
  Process process = open();
  remote_.fail_all(Fault::cancelled);
  expect_fault(Fault::cancelled, "the remote", [&] { process.storage->get("index/unseen", base::k_mib); });
  expect_fault(Fault::cancelled, "the remote", [&] { process.storage->list("packs"); });
}

TEST_F(SpooledStorageTest, CachedIndexesGoWithTheirs) {
  Process process = open();
  back_up(process, seeds(1, 8));
  upload(process);
  for (const std::string& name : names_of("index")) remote_.objects.remove(name);
  process.storage->list("index");
  EXPECT_TRUE(process.storage->spool().cached().list("index").empty());
}

}  // namespace
}  // namespace icecore::staging
