// SPDX-License-Identifier: Apache-2.0
#include "maintenance/prune.hpp"

#include <random>

#include "maintenance/repair.hpp"
#include "storage/local_folder.hpp"
#include "unit/maintenance/fixture.hpp"

namespace icecore::maintenance {
namespace {

constexpr std::chrono::hours k_day{24};

class PruneTest : public MaintenanceFixture {};

TEST_F(PruneTest, LeavesARepositoryAloneThatNeedsAll) {
  backup("a", range(1, 40));
  backup("a", range(1, 41));
  const auto before = storage_.list("");
  const PruneReport report = prune();
  EXPECT_EQ(report.points, 2U);
  EXPECT_EQ(report.kept.packs, count("packs"));
  EXPECT_EQ(report.deleted.packs + report.waiting.packs + report.rewritten.packs, 0U);
  EXPECT_EQ(count("prunes"), 0U);
  EXPECT_EQ(count("locks"), 0U);
  expect_all_readable();
}

TEST_F(PruneTest, NeedlessPacksAreMarkedAndDeletedAfterTheirGrace) {
  backup("a", range(1, 40));
  const std::size_t needed = count("packs");
  backup("b", range(100, 140));
  const std::size_t all = count("packs");
  forget(1);

  const PruneReport marked = prune(k_day);
  EXPECT_EQ(marked.needless.packs, all - needed);
  EXPECT_EQ(marked.waiting.packs, all - needed);
  EXPECT_EQ(marked.deleted.packs, 0U);
  EXPECT_EQ(count("packs"), all);
  EXPECT_EQ(count("prunes"), 1U);

  const PruneReport waiting = prune(k_day);
  EXPECT_EQ(waiting.needless.packs, 0U);
  EXPECT_EQ(waiting.waiting.packs, all - needed);
  EXPECT_EQ(count("packs"), all);

  const PruneReport swept = prune();
  EXPECT_EQ(swept.deleted.packs, all - needed);
  EXPECT_EQ(swept.deleted.bytes, marked.waiting.bytes);
  EXPECT_EQ(count("packs"), needed);
  EXPECT_EQ(count("prunes"), 0U);
  expect_all_readable();
}

TEST_F(PruneTest, SparsePacksAreRewrittenWithoutTheirDeadBlocks) {
  Seeds few = range(1, 200);
  backup("a", few);
  few = {few.begin() + 5, few.begin() + 9};  // crosses frames: some whole, some in part
  backup("b", few);
  forget(0);
  std::uint64_t before = 0;
  for (const auto& object : storage_.list("packs")) before += object.size;
  const PruneReport report = prune();
  EXPECT_GT(report.rewritten.packs, 0U);
  EXPECT_GT(report.written.packs, 0U);
  EXPECT_LT(report.written.bytes * 5, before);
  expect_all_readable();
  std::uint64_t after = 0;
  for (const auto& object : storage_.list("packs")) after += object.size;
  EXPECT_EQ(after, report.kept.bytes + report.written.bytes);
  EXPECT_EQ(prune().rewritten.packs, 0U) << "a second prune finds nothing to do";
}

TEST_F(PruneTest, ManySmallPacksAreJoined) {
  for (std::uint64_t i = 1; i < 80; ++i) backup("a", {i, i + 1000});
  EXPECT_GT(count("packs"), 140U);
  prune();
  EXPECT_LT(count("packs"), 20U);
  EXPECT_EQ(count("index"), 1U);
  expect_all_readable();
}

TEST_F(PruneTest, DryRunWritesNothing) {
  backup("a", range(1, 80));
  backup("a", range(70, 90));
  forget(0);
  const auto before = storage_.list("packs").size() + storage_.list("index").size();
  const PruneReport told = prune(std::chrono::seconds(0), true);
  EXPECT_EQ(count("packs") + count("index"), before);
  EXPECT_EQ(count("prunes") + count("locks"), 0U);
  const PruneReport done = prune();
  EXPECT_EQ(told.deleted.packs, done.deleted.packs);
  EXPECT_EQ(told.deleted.bytes, done.deleted.bytes);
  EXPECT_EQ(told.kept.packs, done.kept.packs);
}

// What a crashed backup left, and packs whose index never came.
TEST_F(PruneTest, PacksOfNoIndexAreGarbage) {
  backup("a", range(1, 10));
  const std::size_t needed = count("packs");
  const auto indexes = storage_.list("index");
  store(*repository_, "b", range(50, 60));
  for (const auto& index : storage_.list("index")) {
    if (index.name != indexes.at(0).name) storage_.remove(index.name);
  }
  EXPECT_GT(prune(k_day).needless.packs, 0U);
  prune();
  EXPECT_EQ(count("packs"), needed);
  expect_all_readable();
}

TEST_F(PruneTest, RefusesWhenARestorePointCannotBeRead) {
  const std::string object = repository::manifest_object(backup("a", range(1, 10)).manifest);
  storage_.replace(object, base::as_bytes("rubbish"));
  expect_fault(Fault::corrupt, object, [&] { prune(); });
  EXPECT_EQ(count("prunes"), 0U);
}

TEST_F(PruneTest, RefusesWhenAnIndexCannotBeRead) {
  backup("a", range(1, 10));
  const std::string object = storage_.list("index").at(0).name;
  storage_.replace(object, base::as_bytes("rubbish"));
  expect_fault(Fault::corrupt, object, [&] { prune(); });
}

TEST_F(PruneTest, RefusesWhenBlocksAreMissing) {
  backup("a", range(1, 10));
  storage_.remove(storage_.list("packs").at(0).name);
  expect_fault(Fault::corrupt, "missing", [&] { prune(); });
  EXPECT_EQ(count("prunes"), 0U);
}

// What a repair noted of a point is no leave to lose more of it.
TEST_F(PruneTest, RefusesWhenADamagedPointLosesMore) {
  backup("a", range(1, 80));
  const auto lose_largest = [&] {
    storage::ObjectInfo largest;
    for (const auto& object : storage_.list("packs")) largest = object.size > largest.size ? object : largest;
    storage_.remove(largest.name);
  };
  lose_largest();
  repair(*repository_, {.history = folder_ / "history"}, {});
  prune(k_day);
  lose_largest();
  expect_fault(Fault::corrupt, "missing", [&] { prune(k_day); });
  repair(*repository_, {.history = folder_ / "history"}, {});
  prune(k_day);
}

TEST_F(PruneTest, ADryRunRefusesWhatThePruneRefuses) {
  backup("a", range(1, 40));
  backup("b", range(100, 140));
  forget(0);
  prune(k_day);
  ASSERT_EQ(count("prunes"), 1U);
  for (const auto& object : storage_.list("packs")) storage_.remove(object.name);
  expect_fault(Fault::corrupt, "missing", [&] { prune(k_day, true); });
  expect_fault(Fault::corrupt, "missing", [&] { prune(k_day); });
}

TEST_F(PruneTest, ADamagedSparsePackStays) {
  backup("a", range(1, 60));
  backup("b", {3});
  forget(0);
  const auto packs = storage_.list("packs");
  for (const auto& object : packs) {
    if (object.size < 10 * k_block) continue;
    base::Bytes bytes = storage_.get(object.name, base::k_mib);
    for (std::size_t at = 32; at < 10 * k_block; at += 97) bytes[at] ^= std::byte{1};
    storage_.replace(object.name, bytes);
  }
  const PruneReport report = prune();
  ASSERT_FALSE(report.notes.empty());
  EXPECT_NE(report.notes.at(0).find("stays as it is"), std::string::npos);
  prune();
  std::size_t left = 0;
  for (const auto& object : storage_.list("packs")) left += object.size > 10 * k_block ? 1U : 0U;
  EXPECT_GT(left, 0U);
}

// ---- killed

// Every write of a prune is the last one once; what is left always holds all points,
// and the next prune ends where an undisturbed one does.
TEST_F(PruneTest, KilledAtAnyWriteItLosesNothing) {
  backup("a", range(1, 70));
  backup("a", range(30, 72));
  backup("b", range(200, 230));
  backup("b", range(210, 214));
  forget(2);
  forget(0);
  const auto objects = snapshot();
  std::size_t undisturbed = 0;
  for (int writes = 0;; ++writes) {
    restore(objects);
    if (!prune_and_die(writes)) break;
    ASSERT_NO_FATAL_FAILURE(expect_all_readable()) << "killed at write " << writes;
    prune();
    ASSERT_NO_FATAL_FAILURE(expect_all_readable()) << "after write " << writes;
    prune();
    if (undisturbed == 0) undisturbed = count("packs");
    EXPECT_LE(count("packs"), undisturbed + 2) << "garbage is left after write " << writes;
    EXPECT_EQ(count("prunes"), 0U);
    ASSERT_LT(writes, 1000);
  }
}

// A seeded life of a repository: backups, forgetting, prunes with and without grace, many of them killed. After each
// step everything reads.
class PruneLife : public MaintenanceFixture, public testing::WithParamInterface<unsigned> {};

TEST_P(PruneLife, EveryPointReadsAfterEveryStep) {
  std::mt19937 random(GetParam());
  const auto pick = [&](unsigned n) { return std::uniform_int_distribution<unsigned>(0, n - 1)(random); };
  for (int step = 0; step < 40; ++step) {
    switch (pick(5)) {
      case 0:
      case 1: {
        const std::uint64_t from = 1 + pick(150);
        backup(pick(2) == 0 ? "a" : "b", range(from, from + 1 + pick(60)));
        break;
      }
      case 2:
        if (!points_.empty()) forget(pick(static_cast<unsigned>(points_.size())));
        break;
      case 3: prune(pick(2) == 0 ? k_day : std::chrono::seconds(0)); break;
      default: prune_and_die(static_cast<int>(pick(25))); break;
    }
    ASSERT_NO_FATAL_FAILURE(expect_all_readable()) << "seed " << GetParam() << ", step " << step;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, PruneLife, testing::Range(1U, 9U));

// In a folder on this host: objects in memory are never half-written.
TEST_F(PruneTest, RemovesWhatKilledWritersLeftInEveryFolder) {
  const std::filesystem::path root = folder_ / "repository";
  base::create_folders(root);
  storage::LocalFolder storage(root);
  Repository::create(storage, small_options(false), {});
  Repository repository(storage, {}, folder_ / "other-cache");
  std::vector<std::filesystem::path> leftovers;
  for (const char* folder :
       {"packs/ab", "index", "manifests/uuid", "prunes", "locks", "heartbeats", "protections", "damage", "keys"}) {
    leftovers.push_back(root / folder / "x.tmp-0123456789abcdef");
    base::create_folders(leftovers.back().parent_path());
    base::write_durably(leftovers.back(), base::as_bytes("half"));
    std::filesystem::last_write_time(leftovers.back(), std::filesystem::file_time_type::clock::now() - 2 * k_day);
  }
  maintenance::prune(repository, {}, {});
  for (const std::filesystem::path& file : leftovers) EXPECT_FALSE(std::filesystem::exists(file)) << file;
}

}  // namespace
}  // namespace icecore::maintenance
