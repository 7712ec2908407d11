// SPDX-License-Identifier: Apache-2.0
// A prune beside backups on other hosts: whatever they do meanwhile, no point lacks a block.
#include "maintenance/prune.hpp"
#include "maintenance/repair.hpp"
#include "maintenance/verify.hpp"
#include "repository/block_reader.hpp"
#include "repository/envelope.hpp"
#include "repository/prune_mark.hpp"
#include "unit/maintenance/fixture.hpp"
#include "unit/maintenance/hooked_storage.hpp"

namespace icecore::maintenance {
namespace {

using repository::LockMode;
using repository::RepositoryLock;

constexpr std::chrono::hours k_day{24};

class PruneBesideTest : public MaintenanceFixture {
 protected:
  void SetUp() override {
    MaintenanceFixture::SetUp();
    other_ = std::make_unique<Repository>(storage_, key(), folder_ / "other-cache");
  }
  void TearDown() override {
    other_.reset();
    MaintenanceFixture::TearDown();
  }
  // A backup on the other host that leaves out the blocks of a point which is forgotten meanwhile.
  Manifest backup_that_relies_on_a_forgotten_point() {
    backup("a", range(1, 60));
    const Manifest begun = store(*other_, "b", range(1, 60));
    EXPECT_EQ(stats_.new_blocks, 0U);
    forget(0);
    return begun;
  }
  // A point whose blocks only a mark names: as between its publication and the moment in which they are taken back.
  void point_on_marked_packs() {
    const Manifest begun = backup_that_relies_on_a_forgotten_point();
    prune(k_day);
    const std::string object = repository::manifest_object(begun);
    storage_.put(object, seal(repository_->keys(), repository::ObjectKind::manifest, object, encode_manifest(begun)));
    points_.push_back({begun, range(1, 60)});
  }
  std::unique_ptr<Repository> other_;
};

TEST_F(PruneBesideTest, ABackupTakesMarkedPacksBack) {
  const RepositoryLock lock(*other_, LockMode::shared, "backup of 'b'");
  const Manifest begun = backup_that_relies_on_a_forgotten_point();
  EXPECT_GT(prune(k_day).waiting.packs, 0U);
  repository::publish(*other_, begun);
  points_.push_back({begun, range(1, 60)});
  expect_all_readable();
}

TEST_F(PruneBesideTest, NothingIsDeletedWhileABackupRuns) {
  Manifest begun;
  {
    const RepositoryLock lock(*other_, LockMode::shared, "backup of 'b'");
    begun = backup_that_relies_on_a_forgotten_point();
    const PruneReport report = prune();
    EXPECT_EQ(report.deleted.packs, 0U);
    ASSERT_FALSE(report.notes.empty());
    EXPECT_NE(report.notes.at(0).find("backup of 'b'"), std::string::npos);
    repository::publish(*other_, begun);
  }
  points_.push_back({begun, range(1, 60)});
  EXPECT_EQ(prune().deleted.packs, 0U);
  EXPECT_EQ(count("prunes"), 0U);
  expect_all_readable();
}

// Without its lock, removed by a person: still no restore point without its blocks.
TEST_F(PruneBesideTest, ABackupWhoseBlocksAreGoneIsNotPublished) {
  const Manifest begun = backup_that_relies_on_a_forgotten_point();
  EXPECT_GT(prune().deleted.packs, 0U);
  expect_fault(Fault::conflict, "relied on", [&] { repository::publish(*other_, begun); });
  EXPECT_EQ(count("manifests"), 0U);
  // The next one stores them again.
  const Manifest again = store(*other_, "b", range(1, 60));
  repository::publish(*other_, again);
  points_.push_back({again, range(1, 60)});
  expect_all_readable();
}

// The process that sealed the backup is gone; recovery publishes, and has no memory of what it relied on.
TEST_F(PruneBesideTest, APublishingByRecoveryIsProvedToo) {
  const Manifest begun = backup_that_relies_on_a_forgotten_point();
  prune();
  Repository recovering(storage_, key(), folder_ / "third-cache");
  expect_fault(Fault::conflict, "relied on", [&] { repository::publish(recovering, begun); });
}

// Two processes of one host share the cache: one has brought it up to date under the other's feet.
TEST_F(PruneBesideTest, ACacheRefreshedByAnotherProcessHidesNothing) {
  const Manifest begun = backup_that_relies_on_a_forgotten_point();
  prune();
  other_->refresh_index();
  expect_fault(Fault::conflict, "relied on", [&] { repository::publish(*other_, begun); });
}

// The same before its index: nobody would look for packs that no index named, and all to come would rely on them.
TEST_F(PruneBesideTest, WhatIsSweptBeforeItsIndexIsNotIndexed) {
  repository::BlockWriter writer(*other_);
  store_image(writer, range(1, 60));
  EXPECT_GT(prune().deleted.packs, 0U);
  expect_fault(Fault::conflict, "is gone", [&] { writer.finish(); });
  EXPECT_EQ(count("index"), 0U);
}

// A manifest that came after the mark was written, unchecked: the sweep looks again.
TEST_F(PruneBesideTest, TheSweepTakesBackWhatANewPointNeeds) {
  point_on_marked_packs();
  const PruneReport report = prune();
  EXPECT_EQ(report.deleted.packs, 0U);
  EXPECT_NE(report.notes.at(0).find("needed by newer"), std::string::npos);
  expect_all_readable();
}

// Both of the backup's looks see the old index; the prune's look does not see the backup.
TEST_F(PruneBesideTest, APointPublishedDuringAPruneKeepsItsBlocks) {
  for (const char* moment : {"put index/", "remove index/"}) {
    const Manifest begun = backup_that_relies_on_a_forgotten_point();
    backup("c", range(100, 110));
    bool published = false;
    HookedStorage hooked(storage_, [&](const std::string& call) {
      if (!call.starts_with(moment) || std::exchange(published, true)) return;
      repository::publish(*other_, begun);
    });
    Repository pruning(hooked, key(), folder_ / "pruning-cache");
    const PruneReport report = maintenance::prune(pruning, {.grace = k_day}, {});
    ASSERT_TRUE(published);
    EXPECT_EQ(report.waiting.packs, 0U);
    points_.push_back({begun, range(1, 60)});
    ASSERT_NO_FATAL_FAILURE(expect_all_readable()) << moment;
    points_.clear();
    storage_.clear();
    create();
    other_ = std::make_unique<Repository>(storage_, key(), folder_ / "other-cache");
  }
}

// As a forget does that notices it took a domain's last point: the prune had passed over it.
TEST_F(PruneBesideTest, APointThatGoesAndComesBackKeepsItsBlocks) {
  backup("a", range(1, 60));
  const Manifest point = points_.at(0).manifest;
  const std::string object = repository::manifest_object(point);
  bool gone = false;
  HookedStorage hooked(storage_, [&](const std::string& call) {
    if (call == "get " + object && !std::exchange(gone, true)) storage_.remove(object);
    if (call.starts_with("put prunes/") && gone) repository::publish(*other_, point);
  });
  Repository pruning(hooked, key(), folder_ / "pruning-cache");
  maintenance::prune(pruning, {.grace = std::chrono::seconds(0)}, {});
  ASSERT_TRUE(gone);
  expect_all_readable();
}

// All look forgotten then, and what verifies noted of them is no longer true.
TEST_F(PruneBesideTest, WhatGoesWithItsConfigIsNotForgotten) {
  backup("a", range(1, 60));
  const auto before = snapshot();
  HookedStorage hooked(storage_, [&](const std::string& call) {
    if (call.starts_with("get manifests/")) storage_.clear();
  });
  Repository pruning(hooked, key(), folder_ / "pruning-cache");
  expect_fault(Fault::unavailable, "mounted", [&] { maintenance::prune(pruning, {}, {}); });
  restore(before);
  expect_all_readable();
}

TEST_F(PruneBesideTest, APointWhoseBlocksGoAsItAppearsIsTakenBack) {
  bool pruned = false;
  HookedStorage hooked(storage_, [&](const std::string& call) {
    if (call.starts_with("put manifests/") && !std::exchange(pruned, true)) prune();
  });
  Repository slow(hooked, key(), folder_ / "slow-cache");
  backup("a", range(1, 60));
  const Manifest begun = store(slow, "b", range(1, 60));
  forget(0);
  expect_fault(Fault::conflict, "relied on", [&] { repository::publish(slow, begun); });
  EXPECT_TRUE(pruned);
  EXPECT_EQ(count("manifests"), 0U);
}

// Such as a changed host key: nothing is known of the blocks, and the next attempt looks again.
TEST_F(PruneBesideTest, AConflictThatIsNotTheBlocksOwnTakesNothingBack) {
  bool appeared = false;
  HookedStorage hooked(storage_, [&](const std::string& call) {
    appeared = appeared || call.starts_with("put manifests/");
    if (appeared && call == "list index") base::fail(Fault::conflict, "the host key has changed");
  });
  Repository slow(hooked, key(), folder_ / "slow-cache");
  const Manifest begun = store(slow, "b", range(1, 60));
  expect_fault(Fault::conflict, "host key", [&] { repository::publish(slow, begun); });
  EXPECT_EQ(count("manifests"), 1U);
  points_.push_back({begun, range(1, 60)});
  expect_all_readable();
}

TEST_F(PruneBesideTest, ADryRunSeesWhatWouldBeTakenBack) {
  point_on_marked_packs();
  const auto before = snapshot();
  const PruneReport report = prune(std::chrono::seconds(0), true);
  EXPECT_NE(report.notes.at(0).find("needed by newer"), std::string::npos);
  EXPECT_EQ(report.deleted.packs, 0U);
  EXPECT_GT(report.kept.packs, 0U);
  EXPECT_EQ(snapshot(), before);
}

// No damage: whoever is at work takes back what the point needs, as long as that may take.
TEST_F(PruneBesideTest, AVerifyWaitsForWhoeverIsAtWork) {
  for (const LockMode mode : {LockMode::shared, LockMode::maintenance}) {
    point_on_marked_packs();
    std::optional<RepositoryLock> at_work(std::in_place, *other_, mode, "at work");
    int looks = -1;  // the first is its own lock's
    HookedStorage hooked(storage_, [&](const std::string& call) {
      if (call != "list locks" || ++looks != 2) return;
      at_work.reset();
      prune(k_day);
    });
    Repository verifying(hooked, key(), folder_ / "verifying-cache");
    const VerifyReport report = verify(verifying, {.history = folder_ / "history"}, {});
    EXPECT_TRUE(report.good()) << to_string(mode);
    EXPECT_EQ(looks, 2);
    forget(0);
    prune();
  }
}

TEST_F(PruneBesideTest, AVerifyNamesAsDamagedWhatNobodyTakesBack) {
  point_on_marked_packs();
  const VerifyOptions options{.history = folder_ / "history", .patience_with_jobs = std::chrono::seconds(0)};
  const auto is_damaged = [&] {
    const VerifyReport report = verify(*repository_, options, {});
    return !report.damage.empty() && report.losses.empty();
  };
  EXPECT_TRUE(is_damaged());
  {
    const RepositoryLock lock(*other_, LockMode::shared, "backup of 'c'");
    EXPECT_TRUE(is_damaged());
  }
  prune(k_day);
  EXPECT_FALSE(is_damaged());
  expect_all_readable();
}

// As a restore does; the second time of another mark.
TEST_F(PruneBesideTest, WhoOnlyReadsMayLookInMarkedPacks) {
  for (int round = 0; round < 2; ++round) {
    point_on_marked_packs();
    repository_->refresh_index();
    const Point& point = points_.at(0);
    const auto read = [&] { return read_image(*repository_, point.manifest.disks.at(0).image); };
    const auto before = snapshot();
    repository_->allow_marked_packs(true);
    EXPECT_EQ(read(), make_image(point.seeds));
    repository_->allow_marked_packs(false);
    EXPECT_EQ(snapshot(), before);
    expect_fault(Fault::corrupt, "in no index", [&] { read(); });
    prune();
    repository_->refresh_index();
    EXPECT_EQ(read(), make_image(point.seeds));
    forget(0);
    prune();
  }
}

TEST_F(PruneBesideTest, WhoReadsWhatIsNotTakenBackYetIsToldToVerify) {
  point_on_marked_packs();
  repository_->refresh_index();
  repository::BlockReader reader(*repository_);
  try {
    reader.locate_or_fail(points_.at(0).manifest.disks.at(0).image.root);
    ADD_FAILURE() << "an index names it";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), Fault::corrupt);
    EXPECT_EQ(error.hint(), "icecore verify");
  }
}

// A mark that cannot be read stops a prune and a publishing that might need it, until a repair has removed it.
TEST_F(PruneBesideTest, ARepairRemovesADamagedMark) {
  const Manifest begun = backup_that_relies_on_a_forgotten_point();
  prune(k_day);
  const std::string mark = storage_.list("prunes").at(0).name;
  storage_.replace(mark, base::as_bytes("rubbish"));
  expect_fault(Fault::corrupt, mark, [&] { prune(k_day); });
  expect_fault(Fault::corrupt, mark, [&] { repository::publish(*other_, begun); });
  const RepairReport repaired = repair(*repository_, {.history = folder_ / "history"}, {});
  EXPECT_EQ(repaired.removed.at(0).object, mark);
  EXPECT_TRUE(repaired.left.empty());
  repository::publish(*other_, begun);
  points_.push_back({begun, range(1, 60)});
  EXPECT_EQ(prune().deleted.packs, 0U);
  expect_all_readable();
}

TEST_F(PruneBesideTest, TheGraceOfAMarkFromTheFutureBeginsNow) {
  const Manifest begun = backup_that_relies_on_a_forgotten_point();
  prune(k_day);
  repository::PruneMark mark = repository::load_prune_marks(*repository_).at(0);
  storage_.remove(repository::prune_mark_object(mark.id));
  mark.created += 1000 * k_day;
  store_prune_mark(*repository_, mark);
  EXPECT_NE(prune(k_day).notes.at(0).find("in the future"), std::string::npos);
  EXPECT_LE(repository::load_prune_marks(*repository_).at(0).created, base::now());
  EXPECT_GT(prune().deleted.packs, 0U);
}

}  // namespace
}  // namespace icecore::maintenance
