// SPDX-License-Identifier: Apache-2.0
// Repair and copy killed before any of their writes: the next run ends where an undisturbed one does.
#include "maintenance/copy.hpp"
#include "maintenance/repair.hpp"
#include "maintenance/verify.hpp"
#include "repository/damage_mark.hpp"
#include "unit/maintenance/fixture.hpp"

namespace icecore::maintenance {
namespace {

class InterruptedTest : public MaintenanceFixture {
 protected:
  // False when it needs fewer writes.
  bool repair_and_die(int writes) {
    DyingStorage dying(storage_, writes);
    try {
      Repository victim(dying, key(), folder_ / "victim-cache");
      maintenance::repair(victim, {.read_data = true, .history = folder_ / "victim-history"}, {});
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), Fault::unavailable) << error.what();
    }
    remove_locks();
    return dying.died();
  }
  RepairReport repair() { return maintenance::repair(*repository_, {.read_data = true, .history = folder_ / "h"}, {}); }
  // Every kind of damage at once: bytes changed in one point's pack, an index gone, one cut off, a rotten prune mark.
  void damage() {
    storage::ObjectInfo largest;
    for (const auto& object : storage_.list("packs")) largest = object.size > largest.size ? object : largest;
    base::Bytes bytes = storage_.get(largest.name, base::k_mib);
    bytes.at(40) ^= std::byte{1};
    storage_.replace(largest.name, bytes);
    const auto indexes = storage_.list("index");
    storage_.remove(indexes.at(0).name);
    storage_.replace(indexes.at(1).name, base::as_bytes("rubbish"));
    storage_.put("prunes/" + std::string(32, 'a'), base::as_bytes("rubbish"));
  }
};

TEST_F(InterruptedTest, ARepairKilledAtAnyWriteIsFinishedByTheNext) {
  backup("a", range(1, 60));
  backup("b", range(100, 160));
  backup("c", range(200, 230));
  damage();
  const auto objects = snapshot();
  const std::vector<DiskLoss> expected = repair().losses;
  ASSERT_EQ(expected.size(), 1U);
  std::erase_if(points_, [&](const Point& point) { return point.manifest.id == expected[0].point_id; });
  for (int writes = 0;; ++writes) {
    restore(objects);
    if (!repair_and_die(writes)) break;
    const RepairReport again = repair();
    ASSERT_EQ(again.losses.size(), 1U) << "killed at write " << writes;
    EXPECT_EQ(again.losses[0].ranges, expected[0].ranges);
    EXPECT_TRUE(load_damage(*repository_, expected[0].point_id));
    ASSERT_NO_FATAL_FAILURE(expect_all_readable()) << "killed at write " << writes;
    const VerifyReport verified = maintenance::verify(*repository_, {.history = folder_ / "h"}, {});
    EXPECT_TRUE(verified.damage.empty()) << verified.damage.at(0).object << ": " << verified.damage.at(0).reason;
    ASSERT_LT(writes, 1000);
  }
}

TEST_F(InterruptedTest, ACopyKilledAtAnyWriteIsFinishedByTheNext) {
  backup("a", range(1, 60));
  backup("b", range(30, 80));
  std::vector<Manifest> points;
  for (const Point& point : points_) points.push_back(point.manifest);
  bool died = true;
  for (int writes = 0; died; ++writes) {
    icecore::contract::MemoryStorage target;
    Repository::create(target, small_options(false), {});
    DyingStorage dying(target, writes);
    try {
      Repository victim(dying, {}, folder_ / "victim-cache");
      copy_points(*repository_, victim, points, {});
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), Fault::unavailable) << error.what();
    }
    died = dying.died();
    for (const auto& lock : target.list("locks")) target.remove(lock.name);
    remove_locks();
    Repository next(target, {}, folder_ / "next-cache");
    // What a dead copy has published is whole.
    next.refresh_index();
    for (const Manifest& copied : repository::list_manifests(next)) read_image(next, copied.disks[0].image);
    copy_points(*repository_, next, points, {});
    const std::vector<Manifest> copies = repository::list_manifests(next);
    ASSERT_EQ(copies.size(), 2U) << "killed at write " << writes;
    for (std::size_t i = 0; i < copies.size(); ++i)
      ASSERT_EQ(read_image(next, copies[i].disks[0].image), make_image(points_[i].seeds))
          << "killed at write " << writes;
    ASSERT_LT(writes, 1000);
  }
}

}  // namespace
}  // namespace icecore::maintenance
