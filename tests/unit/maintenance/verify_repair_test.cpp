// SPDX-License-Identifier: Apache-2.0
// Damage of every kind is found, named with what suffers, put right as far as it can be, and heals.
#include "maintenance/read_history.hpp"
#include "maintenance/repair.hpp"
#include "maintenance/verify.hpp"
#include "repository/damage_mark.hpp"
#include "unit/maintenance/fixture.hpp"

namespace icecore::maintenance {
namespace {

class VerifyRepairTest : public MaintenanceFixture {
 protected:
  void SetUp() override {
    MaintenanceFixture::SetUp();
    backup("a", range(1, 30));
    backup("b", range(100, 130));
  }
  VerifyReport verify(std::optional<unsigned> percent = {}) {
    return maintenance::verify(*repository_, {.read_percent = percent, .history = folder_ / "history"}, {});
  }
  RepairReport repair(bool read_data = false) {
    return maintenance::repair(*repository_, {.read_data = read_data, .history = folder_ / "history"}, {});
  }
  // The largest pack: data of one of the points.
  std::string large_pack() {
    storage::ObjectInfo largest;
    for (const auto& object : storage_.list("packs")) {
      if (object.size > largest.size) largest = object;
    }
    return largest.name;
  }
  // Those that hold the root of its disk's tree.
  std::vector<std::string> tree_packs_of(const Point& point) {
    const repository::BlockName root = point.manifest.disks.at(0).image.root;
    std::vector<std::string> packs;
    for (const auto& object : storage_.list("packs")) {
      const repository::PackEntry pack =
          read_pack_footer(storage_, repository_->keys(), repository_->config(),
                           repository::parse_pack_object(object.name).value(), object.size);
      for (const repository::FrameEntry& frame : pack.frames) {
        const bool has = std::ranges::any_of(frame.blocks, [&](const auto& block) { return block.name == root; });
        if (has) packs.push_back(object.name);
      }
    }
    return packs;
  }
  void change(const std::string& object, std::size_t at) {
    base::Bytes bytes = storage_.get(object, base::k_mib);
    bytes.at(at) ^= std::byte{1};
    storage_.replace(object, bytes);
  }
  static bool names(const VerifyReport& report, const std::string& object) {
    return std::any_of(report.damage.begin(), report.damage.end(),
                       [&](const BadObject& bad) { return bad.object == object; });
  }
};

TEST_F(VerifyRepairTest, ASoundRepositoryIsGood) {
  const VerifyReport report = verify(100);
  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.points, 2U);
  EXPECT_EQ(report.packs_read, count("packs"));
  EXPECT_EQ(report.unindexed_packs, 0U);
  const RepairReport repaired = repair(true);
  EXPECT_TRUE(repaired.left.empty() && repaired.losses.empty());
  EXPECT_EQ(repaired.packs_indexed + repaired.packs_salvaged, 0U);
  EXPECT_TRUE(verify().good());
}

TEST_F(VerifyRepairTest, AMissingPackIsNamedWithThePointsThatSuffer) {
  const std::string pack = large_pack();
  storage_.remove(pack);
  const VerifyReport report = verify();
  EXPECT_TRUE(names(report, pack));
  ASSERT_EQ(report.losses.size(), 1U);
  EXPECT_EQ(report.losses[0].disk, "vda");
  EXPECT_FALSE(report.losses[0].ranges.empty());
}

TEST_F(VerifyRepairTest, ATruncatedPackIsFoundWithoutReadingIt) {
  const std::string pack = large_pack();
  base::Bytes bytes = storage_.get(pack, base::k_mib);
  bytes.pop_back();
  storage_.replace(pack, bytes);
  EXPECT_TRUE(names(verify(), pack));
}

TEST_F(VerifyRepairTest, ExchangedPacksAreFound) {
  const auto packs = storage_.list("packs");
  const base::Bytes first = storage_.get(packs.at(0).name, base::k_mib);
  storage_.replace(packs.at(0).name, storage_.get(packs.at(1).name, base::k_mib));
  storage_.replace(packs.at(1).name, first);
  const VerifyReport report = verify(100);
  EXPECT_TRUE(names(report, packs.at(0).name));
  EXPECT_TRUE(names(report, packs.at(1).name));
}

TEST_F(VerifyRepairTest, AReplayedIndexIsFound) {
  const auto before = snapshot();
  forget(1);
  prune();
  for (const auto& [name, bytes] : before) {
    if (name.starts_with("index/")) storage_.replace(name, bytes);
  }
  const VerifyReport report = verify();
  EXPECT_FALSE(report.good());
  EXPECT_TRUE(report.losses.empty());
  EXPECT_TRUE(repair().losses.empty());
  EXPECT_TRUE(verify().good());
  expect_all_readable();
}

TEST_F(VerifyRepairTest, ChangedBytesAreFoundByReadingAndTheirNeighboursSalvaged) {
  const std::string pack = large_pack();
  change(pack, 40);
  EXPECT_TRUE(verify().good()) << "only reading finds it";
  const VerifyReport report = verify(100);
  EXPECT_TRUE(names(report, pack));
  ASSERT_EQ(report.losses.size(), 1U);
  // A frame of four blocks, of 29 or 30.
  std::uint64_t lost = 0;
  for (const auto& range : report.losses[0].ranges) lost += range.count;
  EXPECT_EQ(lost, 4U);

  const RepairReport repaired = repair();  // knows from the history which pack to read
  EXPECT_EQ(repaired.packs_salvaged, 1U);
  ASSERT_EQ(repaired.losses.size(), 1U);
  EXPECT_EQ(repaired.losses[0].ranges, report.losses[0].ranges);
  EXPECT_EQ(repository::list_damaged_points(*repository_).size(), 1U);
  EXPECT_TRUE(storage_.exists(pack)) << "nothing is deleted";
  const auto mark = repository::load_damage(*repository_, repaired.losses[0].point_id);
  ASSERT_TRUE(mark);
  EXPECT_EQ(mark->disks.at(0).lost, report.losses[0].ranges);
}

// What is left of a damaged point reads, with holes where blocks are lost.
TEST_F(VerifyRepairTest, TheRestOfADamagedPointReads) {
  change(large_pack(), 40);
  const RepairReport repaired = repair(true);
  ASSERT_EQ(repaired.losses.size(), 1U);
  repository_->refresh_index();
  const auto point = std::find_if(points_.begin(), points_.end(),
                                  [&](const Point& each) { return each.manifest.id == repaired.losses[0].point_id; });
  repository::BlockReader reader(*repository_);
  repository::ImageTreeReader tree(reader, repository_->config(), point->manifest.disks[0].image,
                                   repaired.losses[0].ranges);
  std::size_t blocks = 0;
  tree.for_each_leaf([&](std::uint64_t first, std::span<const repository::BlockName> names) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (names[i].is_zero()) continue;
      ++blocks;
      EXPECT_EQ(reader.read_block(names[i]), make_block(point->seeds.at(first + i)));
    }
  });
  EXPECT_EQ(blocks, point->seeds.size() - 4);
}

TEST_F(VerifyRepairTest, ALaterBackupHealsALostBlock) {
  change(large_pack(), 40);
  repair(true);
  backup("c", range(1, 30));
  backup("c", range(100, 130));
  EXPECT_EQ(repository::list_damaged_points(*repository_).size(), 1U);
  EXPECT_EQ(verify().healed.size(), 1U);
  EXPECT_EQ(repository::list_damaged_points(*repository_).size(), 0U);
  expect_all_readable();
}

TEST_F(VerifyRepairTest, ALostIndexIsMadeAnewFromPacks) {
  for (const auto& index : storage_.list("index")) storage_.remove(index.name);
  EXPECT_EQ(verify().losses.size(), 2U);
  const RepairReport report = repair();
  EXPECT_EQ(report.packs_indexed, count("packs"));
  EXPECT_TRUE(report.losses.empty());
  expect_all_readable();
}

TEST_F(VerifyRepairTest, ADamagedIndexIsReplaced) {
  const std::string index = storage_.list("index").at(0).name;
  change(index, 50);
  EXPECT_TRUE(names(verify(), index));
  EXPECT_TRUE(repair().losses.empty());
  EXPECT_TRUE(verify().good());
  expect_all_readable();
}

// What a newer icecore wrote is not damaged.
TEST_F(VerifyRepairTest, ANewerIndexIsLeftAlone) {
  const std::string index = storage_.list("index").at(0).name;
  base::Bytes bytes = storage_.get(index, base::k_mib);
  constexpr std::size_t k_version_at = 9;
  bytes.at(k_version_at) = std::byte{2};
  storage_.replace(index, bytes);
  EXPECT_TRUE(names(verify(), index));
  EXPECT_EQ(count("damage"), 0U) << "what it names is not lost";
  const auto before = snapshot();
  expect_fault(Fault::usage, index, [&] { repair(); });
  EXPECT_EQ(snapshot(), before);
}

// A prune after a repair goes on, beside the damaged point.
TEST_F(VerifyRepairTest, APruneAcceptsWhatARepairNoted) {
  storage_.remove(large_pack());
  expect_fault(Fault::corrupt, "missing", [&] { prune(); });
  EXPECT_EQ(repair().losses.size(), 1U);
  prune();
  EXPECT_EQ(repository::list_damaged_points(*repository_).size(), 1U);
}

TEST_F(VerifyRepairTest, ADamagedManifestIsNamed) {
  const std::string object = repository::manifest_object(points_.at(0).manifest);
  change(object, 60);
  EXPECT_TRUE(names(verify(), object));
  EXPECT_EQ(repair().left.size(), 1U);
  EXPECT_TRUE(storage_.exists(object));
}

// Ten percent a night, those longest unread first: all are read in time, in whatever slices.
TEST_F(VerifyRepairTest, SlicesGoRoundThroughAllPacks) {
  for (std::uint64_t i = 0; i < 8; ++i) backup("c", range(200 + 30 * i, 230 + 30 * i));
  std::size_t read = 0;
  for (int night = 0; night < 10; ++night) read += verify(10).packs_read;
  EXPECT_GE(read, count("packs"));
  const ReadHistory history(folder_ / "history");
  for (const auto& object : storage_.list("packs")) {
    EXPECT_TRUE(history.find(*repository::parse_pack_object(object.name))) << object.name;
  }
}

// Stopped, it keeps what it has read, and the lock is given back.
TEST_F(VerifyRepairTest, StoppedItGoesOnWhereItWas) {
  std::stop_source stop;
  Watch watch;
  watch.stop = stop.get_token();
  watch.on_bytes = [&](std::uint64_t, std::uint64_t) { stop.request_stop(); };
  expect_fault(Fault::cancelled, "interrupted", [&] {
    maintenance::verify(*repository_, {.read_percent = 100, .history = folder_ / "history"}, watch);
  });
  EXPECT_EQ(count("locks"), 0U);
  const ReadHistory history(folder_ / "history");
  std::size_t read = 0;
  for (const auto& object : storage_.list("packs")) {
    read += history.find(*repository::parse_pack_object(object.name)) ? 1U : 0U;
  }
  EXPECT_EQ(read, 1U);
}

// A plain verify reads the trees; what it finds is taken out of the index, so that the next backup stores it anew.
TEST_F(VerifyRepairTest, ADamagedTreeIsHealedByTheNextBackup) {
  const std::string pack = tree_packs_of(points_.at(1)).at(0);
  change(pack, 40);
  const VerifyReport report = verify();
  EXPECT_TRUE(names(report, pack));
  ASSERT_EQ(report.losses.size(), 1U);
  EXPECT_EQ(repair().packs_salvaged, 1U);
  backup("c", range(100, 130));
  EXPECT_GT(stats_.new_blocks, 0U);
  EXPECT_EQ(verify().healed.size(), 1U);
  expect_all_readable();
}

TEST_F(VerifyRepairTest, ARepairFindsADamagedTreeItself) {
  change(tree_packs_of(points_.at(1)).at(0), 40);
  const RepairReport repaired = repair();
  EXPECT_EQ(repaired.packs_salvaged, 1U);
  EXPECT_EQ(repaired.losses.size(), 1U);
}

// Two hosts stored the same disk at the same time: either copy of its tree will do.
TEST_F(VerifyRepairTest, ATreeThatIsWholeInAnotherPackIsNotLost) {
  const Objects first = snapshot();
  for (const auto& [name, bytes] : first) {
    if (name != "config" && !name.starts_with("keys/")) storage_.remove(name);
  }
  Repository other(storage_, key(), folder_ / "other-cache");
  repository::publish(other, store(other, "d", range(100, 130)));
  for (const auto& [name, bytes] : first) storage_.replace(name, bytes);
  const std::vector<std::string> copies = tree_packs_of(points_.at(1));
  ASSERT_EQ(copies.size(), 2U);
  std::size_t found = 0;
  for (const std::string& pack : copies) {
    change(pack, 40);
    const VerifyReport report = verify();
    EXPECT_TRUE(report.losses.empty()) << pack;
    found += names(report, pack) ? 1U : 0U;
    change(pack, 40);
  }
  EXPECT_GE(found, 1U) << "the one that was read first";
}

// Two hosts stored the same blocks at the same time, and the fuller of the packs rots.
TEST_F(VerifyRepairTest, APruneKeepsTheCopyThatIsNotRotten) {
  const Objects before = snapshot();
  backup("c", range(1000, 1060));
  const Objects with_c = snapshot();
  restore(before);
  const Seeds few = range(1000, 1016);
  Repository other(storage_, key(), folder_ / "other-cache");
  const Manifest twin = store(other, "d", few);
  repository::publish(other, twin);
  for (const auto& [name, bytes] : with_c) {
    storage_.replace(name, bytes);
    if (before.contains(name) || !name.starts_with("packs/") || bytes.size() < 8 * k_block) continue;
    change(name, 40);
    change(name, bytes.size() / 2);
  }
  EXPECT_FALSE(verify(100).losses.empty());
  prune();
  repair(true);
  Repository fresh(storage_, key(), folder_ / "fresh-cache");
  EXPECT_EQ(read_image(fresh, twin.disks[0].image), make_image(few));
}

}  // namespace
}  // namespace icecore::maintenance
