// SPDX-License-Identifier: Apache-2.0
// Objects that go between a list and their reading, as they do beside a prune or a forget.
#include <atomic>

#include "maintenance/stats.hpp"
#include "maintenance/verify.hpp"
#include "unit/maintenance/fixture.hpp"
#include "unit/maintenance/hooked_storage.hpp"

namespace icecore::maintenance {
namespace {

class VanishingTest : public MaintenanceFixture {
 protected:
  void SetUp() override {
    MaintenanceFixture::SetUp();
    backup("a", range(1, 40));
    backup("b", range(100, 140));
    backup("b", range(120, 160));
    forget(0);
  }
  void TearDown() override {
    beside_.reset();
    MaintenanceFixture::TearDown();
  }
  // A repository where `act` happens just before the first such call.
  Repository& before(const std::string& call, std::function<void()> act) {
    hooked_.emplace(storage_, [this, call, act = std::move(act)](const std::string& now) {
      if (now.starts_with(call) && !happened_.exchange(true)) act();
    });
    beside_ = std::make_unique<Repository>(*hooked_, key(), folder_ / "beside-cache");
    return *beside_;
  }
  Repository& beside_a_prune() {
    return before("get index/", [this] { EXPECT_GT(prune(std::chrono::hours(24)).waiting.packs, 0U); });
  }
  Repository& beside_a_forget() {
    return before("get manifests/", [this] { forget(0); });
  }

  std::optional<HookedStorage> hooked_;
  std::unique_ptr<Repository> beside_;
  std::atomic<bool> happened_ = false;  // packs are read by several threads
};

TEST_F(VanishingTest, ABackupBesideAPruneReadsTheNewIndex) {
  Repository& beside = beside_a_prune();
  beside.refresh_index();
  EXPECT_TRUE(happened_);
  for (const Point& point : points_)
    EXPECT_EQ(read_image(beside, point.manifest.disks[0].image), make_image(point.seeds));
}

TEST_F(VanishingTest, AVerifyBesideAPruneFindsNoDamage) {
  EXPECT_TRUE(maintenance::verify(beside_a_prune(), {.history = folder_ / "history"}, {}).good());
  EXPECT_TRUE(happened_);
}

TEST_F(VanishingTest, StatsBesideAPruneCountAll) {
  EXPECT_EQ(collect_stats(beside_a_prune(), {}).total.points, 2U);
  EXPECT_TRUE(happened_);
}

// They read index objects twice.
TEST_F(VanishingTest, StatsBesideALatePruneCountAll) {
  std::size_t reads = count("index");
  hooked_.emplace(storage_, [&](const std::string& call) {
    if (call.starts_with("get index/") && reads-- == 0) prune(std::chrono::hours(24));
  });
  beside_ = std::make_unique<Repository>(*hooked_, key(), folder_ / "beside-cache");
  EXPECT_EQ(collect_stats(*beside_, {}).total.points, 2U);
  EXPECT_GT(count("prunes"), 0U);
}

TEST_F(VanishingTest, AVerifyBesideAForgetLeavesThePointOut) {
  const VerifyReport report = maintenance::verify(beside_a_forget(), {.history = folder_ / "history"}, {});
  EXPECT_TRUE(happened_);
  EXPECT_TRUE(report.good());
  EXPECT_EQ(report.points, 1U);
}

TEST_F(VanishingTest, AListBesideAForgetLeavesThePointOut) {
  EXPECT_EQ(repository::list_manifests(beside_a_forget()).size(), 1U);
  EXPECT_TRUE(happened_);
}

// An index that never holds still is told, not waited for.
TEST_F(VanishingTest, AListThatLiesEnds) {
  Repository& beside = before("", [] {});
  hooked_->change_list = [](std::vector<storage::ObjectInfo>& objects) {
    if (!objects.empty() && objects[0].name.starts_with("index/"))
      objects.push_back({"index/" + std::string(32, 'a'), 9});
  };
  expect_fault(Fault::unavailable, "not there", [&] { beside.refresh_index(); });
  expect_fault(Fault::unavailable, "not there",
               [&] { maintenance::verify(beside, {.history = folder_ / "history"}, {}); });
}

// The storage's word on a size is no reason to set so much memory aside.
TEST_F(VanishingTest, APackOfImpossibleSizeIsDamaged) {
  Repository& beside = before("", [] {});
  std::string boasting;
  hooked_->change_list = [&](std::vector<storage::ObjectInfo>& objects) {
    if (objects.empty() || !objects[0].name.starts_with("packs/")) return;
    boasting = objects[0].name;
    objects[0].size = std::uint64_t{1} << 60;
  };
  const VerifyReport report = maintenance::verify(beside, {.read_percent = 100, .history = folder_ / "history"}, {});
  EXPECT_LT(report.bytes_read, base::k_mib * 128);
  const auto named = std::find_if(report.damage.begin(), report.damage.end(),
                                  [&](const BadObject& bad) { return bad.object == boasting; });
  ASSERT_NE(named, report.damage.end());
  EXPECT_NE(named->reason.find("larger than any pack"), std::string::npos) << named->reason;
}

}  // namespace
}  // namespace icecore::maintenance
