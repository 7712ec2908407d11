// SPDX-License-Identifier: Apache-2.0
// What verify and repair note at restore points, and when the notes go.
#include "maintenance/damage_notes.hpp"

#include "maintenance/repair.hpp"
#include "maintenance/verify.hpp"
#include "repository/envelope.hpp"
#include "unit/maintenance/fixture.hpp"
#include "unit/maintenance/hooked_storage.hpp"

namespace icecore::maintenance {
namespace {

using repository::DamageMark;

class DamageNotesTest : public MaintenanceFixture {
 protected:
  void SetUp() override {
    MaintenanceFixture::SetUp();
    backup("a", range(1, 30));
    backup("b", range(100, 130));
  }
  // Each host has a history of its own.
  VerifyReport verify(std::optional<unsigned> percent = {}, const std::string& host = "history") {
    return maintenance::verify(*repository_, {.read_percent = percent, .history = folder_ / host}, {});
  }
  RepairReport repair(const std::string& host = "history") {
    return maintenance::repair(*repository_, {.history = folder_ / host}, {});
  }
  std::string id_of(std::size_t point) const { return points_.at(point).manifest.id; }
  void note(const std::string& point, std::uint64_t first_lost = 0) {
    store_damage(*repository_, {point, base::now(), {{"vda", {{first_lost, 1}}}}});
  }
  std::optional<DamageMark> mark_of(const std::string& point) { return load_damage(*repository_, point); }
  std::string largest_pack() {
    storage::ObjectInfo largest;
    for (const auto& object : storage_.list("packs")) largest = object.size > largest.size ? object : largest;
    return largest.name;
  }
  std::string lose_largest_pack() {
    const std::string pack = largest_pack();
    storage_.remove(pack);
    return pack;
  }
  void change(const std::string& object, std::size_t at) {
    base::Bytes bytes = storage_.get(object, base::k_mib);
    bytes.at(at) ^= std::byte{1};
    storage_.replace(object, bytes);
  }
};

// A repair on another host finds by reading what this look at the structure cannot see.
TEST_F(DamageNotesTest, AVerifyLeavesWhatIsNotedMeanwhile) {
  const std::string old = id_of(0);
  const std::string fresh = id_of(1);
  note(old, 1);
  bool noted = false;
  HookedStorage hooked(storage_, [&](const std::string& call) {
    if (!call.starts_with("get manifests/") || std::exchange(noted, true)) return;
    note(old, 2);
    note(fresh, 3);
  });
  Repository beside(hooked, key(), folder_ / "beside-cache");
  const VerifyReport report = maintenance::verify(beside, {.history = folder_ / "history"}, {});
  ASSERT_TRUE(noted);
  EXPECT_TRUE(report.healed.empty());
  EXPECT_TRUE(mark_of(old));
  EXPECT_TRUE(mark_of(fresh));
  EXPECT_EQ(verify().healed.size(), 2U);
}

TEST_F(DamageNotesTest, OnlyAPointThatIsThereIsWholeAgain) {
  const std::string forgotten = id_of(0);
  const std::string unreadable = id_of(1);
  note(forgotten);
  note(unreadable);
  change(repository::manifest_object(points_.at(1).manifest), 60);
  forget(0);
  EXPECT_TRUE(verify().healed.empty());
  EXPECT_FALSE(mark_of(forgotten));
  EXPECT_TRUE(mark_of(unreadable));
  note(forgotten);
  EXPECT_TRUE(repair().healed.empty());
  EXPECT_FALSE(mark_of(forgotten));
  EXPECT_TRUE(mark_of(unreadable));
}

// Damage elsewhere does not keep a whole point noted.
TEST_F(DamageNotesTest, EachPointHealsByItself) {
  note(id_of(0));
  note(id_of(1));
  const std::string object = lose_largest_pack();
  const VerifyReport report = verify();
  ASSERT_EQ(report.losses.size(), 1U);
  ASSERT_EQ(report.healed.size(), 1U);
  EXPECT_NE(report.healed[0], report.losses[0].point_id);
  EXPECT_EQ(mark_of(report.losses[0].point_id)->disks.at(0).lost, report.losses[0].ranges);
}

TEST_F(DamageNotesTest, AVerifyNotesWhatTheStructureLacks) {
  lose_largest_pack();
  const VerifyReport report = verify();
  ASSERT_EQ(report.losses.size(), 1U);
  const auto mark = mark_of(report.losses[0].point_id);
  ASSERT_TRUE(mark);
  EXPECT_FALSE(mark->repaired);
  EXPECT_EQ(mark->disks.at(0).lost, report.losses[0].ranges);
  const auto stored = list_damage(*repository_);
  verify();
  EXPECT_EQ(list_damage(*repository_), stored) << "written once";
}

// The packs may all be there, and what a prune marks is what no index names.
TEST_F(DamageNotesTest, APruneWaitsForARepairWhateverAVerifyNoted) {
  for (const auto& index : storage_.list("index")) storage_.remove(index.name);
  EXPECT_EQ(verify().losses.size(), 2U);
  EXPECT_EQ(repository::list_damaged_points(*repository_).size(), 2U);
  expect_fault(Fault::corrupt, "missing", [&] { prune(); });
  EXPECT_EQ(repair().healed.size(), 2U);
  prune();
  expect_all_readable();
}

TEST_F(DamageNotesTest, AVerifyAfterARepairLeavesItsNote) {
  lose_largest_pack();
  const std::string point = repair().losses.at(0).point_id;
  verify();
  EXPECT_TRUE(mark_of(point)->repaired);
  prune();
}

TEST_F(DamageNotesTest, APackFoundDamagedIsReadByEachVerify) {
  const std::string pack = largest_pack();
  change(pack, 40);
  EXPECT_FALSE(verify(100).good());
  const VerifyReport again = verify();
  EXPECT_FALSE(again.good());
  EXPECT_EQ(again.packs_read, 1U);
  EXPECT_EQ(again.losses.size(), 1U);
  change(pack, 40);
  EXPECT_TRUE(verify().good()) << "it was put right";
}

// Else it would count as the last good point of its domain.
TEST_F(DamageNotesTest, ALossFoundByReadingIsNoted) {
  const std::string pack = largest_pack();
  change(pack, 40);
  const VerifyReport report = verify(100);
  ASSERT_EQ(report.losses.size(), 1U);
  const auto mark = mark_of(report.losses[0].point_id);
  ASSERT_TRUE(mark);
  EXPECT_FALSE(mark->repaired);
  EXPECT_EQ(mark->disks.at(0).lost, report.losses[0].ranges);
  EXPECT_EQ(mark->packs, std::set{*repository::parse_pack_object(pack)});
  EXPECT_EQ(repository::list_damaged_points(*repository_).size(), 1U) << "the other point is whole";
}

// Another host, which has never read the pack, neither takes the note away nor leaves it when the pack is put right.
TEST_F(DamageNotesTest, ALossFoundByReadingIsSeenByEveryHost) {
  const std::string pack = largest_pack();
  change(pack, 40);
  const std::string point = verify(100).losses.at(0).point_id;
  const VerifyReport elsewhere = verify({}, "other-history");
  EXPECT_EQ(elsewhere.packs_read, 1U);
  EXPECT_EQ(elsewhere.losses.size(), 1U);
  EXPECT_TRUE(elsewhere.healed.empty());
  EXPECT_TRUE(mark_of(point));
  change(pack, 40);
  EXPECT_EQ(verify({}, "third-history").healed, std::vector{point});
  EXPECT_FALSE(mark_of(point));
}

TEST_F(DamageNotesTest, ARepairOnAnotherHostSalvagesWhatAMarkNames) {
  change(largest_pack(), 40);
  const std::string point = verify(100).losses.at(0).point_id;
  EXPECT_EQ(repair("other-history").packs_salvaged, 1U);
  EXPECT_TRUE(mark_of(point)->repaired);
  EXPECT_TRUE(mark_of(point)->packs.empty()) << "the index names it no more";
  EXPECT_EQ(verify({}, "third-history").packs_read, 0U);
}

// Whatever the storage can do: there is a mark at every moment.
TEST_F(DamageNotesTest, AKillBetweenTwoMarksLosesNone) {
  lose_largest_pack();
  const std::string point = repair().losses.at(0).point_id;
  note(point, 0);
  const auto before = snapshot();
  for (int writes = 0;; ++writes) {
    restore(before);
    DyingStorage dying(storage_, writes);
    try {
      Repository victim(dying, key(), folder_ / "victim-cache");
      maintenance::verify(victim, {.history = folder_ / "history"}, {});
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), Fault::unavailable) << error.what();
    }
    remove_locks();
    EXPECT_TRUE(mark_of(point)) << writes;
    if (!dying.died()) break;
  }
  EXPECT_EQ(list_damage(*repository_).at(point).size(), 1U) << "both became one";
}

// The damaged pack stays until a prune; nothing needs it any more.
TEST_F(DamageNotesTest, ASalvagedPackIsNoDamage) {
  change(largest_pack(), 40);
  verify(100);
  EXPECT_EQ(repair().losses.size(), 1U);
  backup("c", range(1, 30));
  backup("c", range(100, 130));
  const VerifyReport report = verify();
  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.healed.size(), 1U);
  EXPECT_EQ(report.unindexed_packs, 1U);
}

// A point published unproved: its blocks lie in packs a prune has marked, and are not lost.
TEST_F(DamageNotesTest, BlocksInMarkedPacksAreNotNotedAsLost) {
  const Point point = points_.at(0);
  forget(0);
  prune(std::chrono::hours(24));
  const std::string object = repository::manifest_object(point.manifest);
  storage_.put(object,
               seal(repository_->keys(), repository::ObjectKind::manifest, object, encode_manifest(point.manifest)));
  const VerifyReport report = verify();
  EXPECT_FALSE(report.good());
  EXPECT_TRUE(report.losses.empty());
  EXPECT_TRUE(repository::list_damaged_points(*repository_).empty());
  note(point.manifest.id);
  EXPECT_TRUE(verify().healed.empty()) << "it cannot be restored yet";
  EXPECT_EQ(repair().healed.size(), 1U);
  EXPECT_TRUE(verify().good());
  points_.push_back(point);
  expect_all_readable();
}

}  // namespace
}  // namespace icecore::maintenance
