// SPDX-License-Identifier: Apache-2.0
// ARCHITECTURE.md, section 5: what may start beside what in a repository. One test a cell of the table of locks, and of
// the row of forget. The rows whose cells are locks of domains have theirs in tests/system/job.
#include "maintenance/copy.hpp"
#include "maintenance/repair.hpp"
#include "maintenance/stats.hpp"
#include "maintenance/verify.hpp"
#include "repository/protection.hpp"
#include "unit/maintenance/fixture.hpp"

namespace icecore::maintenance {
namespace {

using repository::LockMode;
using repository::RepositoryLock;

enum class Starting { backup, restore, forget, protect, stats, verify, copy_from, copy_into, mark, repair, sweep };
enum class Expected { side_by_side, refused, left_to_the_next };

std::string name_of(Starting starting) {
  switch (starting) {
    case Starting::backup: return "Backup";
    case Starting::restore: return "Restore";
    case Starting::forget: return "Forget";
    case Starting::protect: return "Protect";
    case Starting::stats: return "Stats";
    case Starting::verify: return "Verify";
    case Starting::copy_from: return "CopyFrom";
    case Starting::copy_into: return "CopyInto";
    case Starting::mark: return "PruneMark";
    case Starting::repair: return "Repair";
    case Starting::sweep: return "PruneSweep";
  }
  return "";
}

struct Cell {
  LockMode running;
  Starting starting;
  Expected expected;
};

// A column of the table.
constexpr std::array k_shared = {Starting::backup, Starting::restore, Starting::forget,    Starting::protect,
                                 Starting::stats,  Starting::verify,  Starting::copy_from, Starting::copy_into};
constexpr std::array k_maintenance = {Starting::mark, Starting::repair};
constexpr std::array k_exclusive = {Starting::sweep};

// What each operation does in the repository, under the lock that it takes there.
class Operations : public MaintenanceFixture {
 protected:
  void SetUp() override {
    MaintenanceFixture::SetUp();
    backup("a", range(1, 20));
    backup("a", range(1, 30));
    backup("b", range(50, 90));
    forget(2);  // something to prune
  }

  void start(Starting starting) {
    switch (starting) {
      case Starting::backup: back_up("a"); break;
      case Starting::restore: restore_point(points_.at(0)); break;
      case Starting::forget: forget_point(); break;
      case Starting::protect: protect_point(); break;
      case Starting::stats: collect_stats(*repository_, {}); break;
      case Starting::verify: verify(*repository_, {.history = folder_ / "history"}, {}); break;
      case Starting::copy_from: copy(true); break;
      case Starting::copy_into: copy(false); break;
      case Starting::mark: prune(std::chrono::hours(24)); break;
      case Starting::repair: repair(*repository_, {.history = folder_ / "history"}, {}); break;
      case Starting::sweep: report_ = prune(); break;
    }
  }

  void back_up(const std::string& domain) {
    RepositoryLock lock(*repository_, LockMode::shared, "backup of '" + domain + "'");
    backup(domain, range(200, 220));
    lock.check();
  }
  // A job that recovery finds sealed: its blocks are stored, its manifest is not.
  void recover() {
    const Seeds seeds = range(300, 320);
    const Manifest sealed = store(*repository_, "c", seeds);
    RepositoryLock lock(*repository_, LockMode::shared, "recovery of 'c'");
    repository::publish(*repository_, sealed);
    points_.push_back({sealed, seeds});
  }
  void restore_point(const Point& point) {
    RepositoryLock lock(*repository_, LockMode::shared, "restore of 'a'");
    EXPECT_EQ(read_image(*repository_, point.manifest.disks[0].image), make_image(point.seeds));
  }
  // The oldest of domain a. `meanwhile` runs when it is gone and forget is not over.
  void forget_point(const std::function<void(const Point&)>& meanwhile = [](const Point&) {}) {
    const RepositoryLock lock(*repository_, LockMode::shared, "forget");
    const Point gone = points_.at(0);
    points_.erase(points_.begin());
    const Manifest other = points_.at(0).manifest;
    EXPECT_TRUE(remove_point(*repository_, gone.manifest));
    meanwhile(gone);
    EXPECT_TRUE(leaves_one(*repository_, {&other}, gone.manifest));
  }
  void protect_point() {
    const RepositoryLock lock(*repository_, LockMode::shared, "protect");
    EXPECT_TRUE(repository::protect(*repository_, {.point = points_.at(0).manifest.id}));
  }
  void copy(bool from_here) {
    icecore::contract::MemoryStorage storage;
    Repository::create(storage, small_options(false), {});
    Repository other(storage, {}, folder_ / "other");
    copy_points(from_here ? *repository_ : other, from_here ? other : *repository_, {}, {});
  }

  PruneReport report_;
};

class LockingTable : public Operations, public testing::WithParamInterface<Cell> {};

TEST_P(LockingTable, Cell) {
  const Cell cell = GetParam();
  const std::size_t packs = count("packs");
  const RepositoryLock running(*repository_, cell.running, "somebody's work");
  if (cell.expected == Expected::refused) {
    expect_fault(Fault::busy, "somebody's work", [&] { start(cell.starting); });
  } else {
    EXPECT_NO_THROW(start(cell.starting));
  }
  if (cell.expected == Expected::left_to_the_next) {
    EXPECT_EQ(report_.deleted.packs, 0U);
    EXPECT_GT(report_.waiting.packs, 0U);
    EXPECT_GE(count("packs"), packs);
  }
  EXPECT_EQ(count("locks"), 1U) << "only the one that was there";
  expect_all_readable();
}

// Alone, a prune of no grace marks and deletes: its own next phase, which no other lock stands in the way of.
TEST_F(Operations, ASweepFollowsItsOwnMark) {
  start(Starting::sweep);
  EXPECT_GT(report_.deleted.packs, 0U);
  EXPECT_EQ(count("locks"), 0U);
  expect_all_readable();
}

// The table, row by row.
std::vector<Cell> cells() {
  std::vector<Cell> all;
  const auto row = [&](LockMode running, Expected shared, Expected maintenance, Expected exclusive) {
    for (const Starting starting : k_shared) all.push_back({running, starting, shared});
    for (const Starting starting : k_maintenance) all.push_back({running, starting, maintenance});
    for (const Starting starting : k_exclusive) all.push_back({running, starting, exclusive});
  };
  using enum Expected;
  // What runs, and what becomes of whoever starts with: a shared lock, a maintenance lock, an exclusive one.
  row(LockMode::shared, side_by_side, side_by_side, left_to_the_next);
  row(LockMode::maintenance, side_by_side, refused, refused);
  row(LockMode::exclusive, refused, refused, refused);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Each, LockingTable, testing::ValuesIn(cells()), [](const auto& cell) {
  return name_of(cell.param.starting) + "Beside_" + std::string(to_string(cell.param.running));
});

// Running: forget.
class ForgetRow : public Operations {};

TEST_F(ForgetRow, BackupOfTheSameDomain) {
  forget_point([&](const Point&) { back_up("a"); });
  EXPECT_EQ(count("manifests"), 2U) << "new points come, old ones go";
  expect_all_readable();
}

TEST_F(ForgetRow, BackupOfAnother) {
  forget_point([&](const Point&) { back_up("b"); });
  EXPECT_EQ(count("manifests"), 2U);
  expect_all_readable();
}

// Of the very point that goes: its blocks stay until a prune, which a shared lock holds off.
TEST_F(ForgetRow, Restore) {
  forget_point([&](const Point& gone) {
    restore_point(gone);
    EXPECT_EQ(prune().deleted.packs, 0U);
    restore_point(gone);
  });
}

TEST_F(ForgetRow, Recover) {
  forget_point([&](const Point&) { recover(); });
  EXPECT_EQ(count("manifests"), 2U);
  expect_all_readable();
}

}  // namespace
}  // namespace icecore::maintenance
