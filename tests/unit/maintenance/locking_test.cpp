// SPDX-License-Identifier: Apache-2.0
// ARCHITECTURE.md, section 5: which operation starts beside which lock. One test a cell.
#include "maintenance/copy.hpp"
#include "maintenance/repair.hpp"
#include "maintenance/stats.hpp"
#include "maintenance/verify.hpp"
#include "unit/maintenance/fixture.hpp"

namespace icecore::maintenance {
namespace {

using repository::LockMode;
using repository::RepositoryLock;

enum class Starting { shared, stats, verify, copy, mark, sweep, repair };

struct Cell {
  LockMode running;
  Starting starting;
  bool refused;
};

std::string name_of(Starting starting) {
  switch (starting) {
    case Starting::shared: return "BackupRestoreOrForget";
    case Starting::stats: return "Stats";
    case Starting::verify: return "Verify";
    case Starting::copy: return "Copy";
    case Starting::mark: return "PruneMark";
    case Starting::sweep: return "PruneSweep";
    case Starting::repair: return "Repair";
  }
  return "";
}

class LockingTable : public MaintenanceFixture, public testing::WithParamInterface<Cell> {
 protected:
  // Whoever is at work does so from another host.
  void start(Starting starting) {
    switch (starting) {
      case Starting::shared: RepositoryLock(*repository_, LockMode::shared, "backup of 'a'"); break;
      case Starting::stats: collect_stats(*repository_, {}); break;
      case Starting::verify: verify(*repository_, {.history = folder_ / "history"}, {}); break;
      case Starting::copy: copy_somewhere(); break;
      case Starting::mark: prune(std::chrono::hours(24)); break;
      case Starting::sweep: sweep(); break;
      case Starting::repair: repair(*repository_, {.history = folder_ / "history"}, {}); break;
    }
  }
  void copy_somewhere() {
    icecore::contract::MemoryStorage other;
    Repository::create(other, small_options(false), {});
    Repository target(other, {}, folder_ / "target");
    copy_points(*repository_, target, {}, {});
  }
  // A sweep beside somebody's lock is no failure of the prune: it is left to the next.
  void sweep() {
    const PruneReport report = prune();
    if (report.deleted.packs == 0) base::fail(Fault::busy, "nothing was deleted");
  }
};

TEST_P(LockingTable, Cell) {
  backup("a", range(1, 20));
  backup("b", range(50, 90));
  forget(1);
  const RepositoryLock running(*repository_, GetParam().running, "somebody's work");
  if (GetParam().refused) {
    expect_fault(Fault::busy, "", [&] { start(GetParam().starting); });
  } else {
    EXPECT_NO_THROW(start(GetParam().starting));
  }
  EXPECT_EQ(count("locks"), 1U) << "only the one that was there";
  expect_all_readable();
}

std::vector<Cell> cells() {
  std::vector<Cell> all;
  for (const LockMode running : {LockMode::shared, LockMode::maintenance, LockMode::exclusive}) {
    for (const Starting starting : {Starting::shared, Starting::stats, Starting::verify, Starting::copy, Starting::mark,
                                    Starting::sweep, Starting::repair}) {
      const bool keeps_order = starting == Starting::mark || starting == Starting::repair;
      all.push_back({running, starting,
                     running == LockMode::exclusive || starting == Starting::sweep ||
                         (keeps_order && running == LockMode::maintenance)});
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Each, LockingTable, testing::ValuesIn(cells()), [](const auto& cell) {
  return name_of(cell.param.starting) + "Beside_" + std::string(to_string(cell.param.running));
});

}  // namespace
}  // namespace icecore::maintenance
