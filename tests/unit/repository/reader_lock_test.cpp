// SPDX-License-Identifier: Apache-2.0
#include "repository/reader_lock.hpp"

#include "repository/lock_list.hpp"
#include "unit/repository/fixture.hpp"

namespace icecore::repository {
namespace {

using base::Fault;

// One that may be read only, for such a reason.
class UnwritableStorage : public icecore::contract::MemoryStorage {
 public:
  void put(const std::string& name, std::span<const base::ByteView> parts) override {
    if (why) base::fail(*why, "'{}' cannot be written", name);
    MemoryStorage::put(name, parts);
  }
  std::optional<Fault> why;
};

class ReaderLockTest : public RepositoryFixture {};

TEST_F(ReaderLockTest, IsASharedLock) {
  create();
  ReaderLock lock(*repository_, "restore of 'a'");
  lock.refresh();
  expect_fault(Fault::busy, "restore of 'a'", [&] { RepositoryLock(*repository_, LockMode::exclusive, "prune"); });
}

TEST_F(ReaderLockTest, IsDoneWithoutWhereNothingCanBeWritten) {
  UnwritableStorage storage;
  Repository::create(storage, small_options(), key());
  Repository repository(storage, key(), folder_ / "other-cache");
  for (const Fault why : {Fault::no_space, Fault::denied}) {
    storage.why = why;
    ReaderLock lock(repository, "restore of 'a'");
    lock.refresh();
  }
  storage.why = Fault::unavailable;
  expect_fault(Fault::unavailable, "cannot be written", [&] { ReaderLock(repository, "restore of 'a'"); });
}

}  // namespace
}  // namespace icecore::repository
