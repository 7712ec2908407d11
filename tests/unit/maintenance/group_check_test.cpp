// SPDX-License-Identifier: Apache-2.0
// Maintenance and the objects of groups: found when they are not true, put right, copied with their points.
#include "maintenance/group_check.hpp"

#include "maintenance/copy.hpp"
#include "maintenance/repair.hpp"
#include "maintenance/verify.hpp"
#include "repository/group.hpp"
#include "repository/protection.hpp"
#include "unit/maintenance/fixture.hpp"

namespace icecore::maintenance {
namespace {

class GroupCheckTest : public MaintenanceFixture {
 protected:
  void SetUp() override {
    MaintenanceFixture::SetUp();
    Manifest web = store(*repository_, "web", range(1, 20));
    Manifest db = store(*repository_, "db", range(10, 30));
    repository::ManifestGroup group{.id = base::random_id(16), .spread_ms = 1, .quiesce = "try"};
    for (const Manifest* point : {&web, &db})
      group.members.push_back({.domain_name = point->domain_name,
                               .domain_uuid = point->domain_uuid,
                               .point_id = point->id,
                               .time = point->time});
    object_ = group_object(group);
    web.group = db.group = group;
    for (const Manifest& point : {web, db}) {
      repository::publish(*repository_, point);
      repository::complete_group(repository_->keys(), storage_, point);
      points_.push_back({point, {}});
    }
    ASSERT_TRUE(storage_.exists(object_));
  }
  VerifyReport verify() { return maintenance::verify(*repository_, {.history = folder_ / "history"}, {}); }
  RepairReport repair() { return maintenance::repair(*repository_, {.history = folder_ / "history"}, {}); }

  std::string object_;
};

TEST_F(GroupCheckTest, AWholeGroupIsFineAndStaysThroughAPrune) {
  EXPECT_TRUE(verify().good());
  prune();
  EXPECT_TRUE(repair().removed.empty());
  EXPECT_TRUE(storage_.exists(object_));
}

TEST_F(GroupCheckTest, OneThatNamesAMissingPointIsFoundAndRemoved) {
  storage_.remove(manifest_object(points_[1].manifest));  // as an icecore that knows no groups forgets
  const VerifyReport report = verify();
  ASSERT_EQ(report.damage.size(), 1U);
  EXPECT_EQ(report.damage[0].object, object_);
  EXPECT_NE(report.damage[0].reason.find("'db'"), std::string::npos) << report.damage[0].reason;
  EXPECT_TRUE(report.losses.empty());
  ASSERT_EQ(repair().removed.size(), 1U);
  EXPECT_FALSE(storage_.exists(object_));
  EXPECT_TRUE(verify().good());
}

TEST_F(GroupCheckTest, ADamagedOneIsWrittenAgain) {
  storage_.replace(object_, base::as_bytes("rubbish"));
  EXPECT_FALSE(verify().good());
  EXPECT_EQ(repair().removed.size(), 1U);
  EXPECT_TRUE(verify().good());
  EXPECT_EQ(list_groups(*repository_).size(), 1U);
}

// Killed after each write of a forget: no group is ever said to have a point that is gone.
TEST_F(GroupCheckTest, AForgetKilledAnywhereLeavesNoUntrueGroup) {
  const Manifest point = points_[0].manifest;
  for (int writes = 0;; ++writes) {
    DyingStorage dying(storage_, writes);
    Repository victim(dying, key(), folder_ / "victim-cache");
    bool died = false;
    try {
      EXPECT_TRUE(remove_point(victim, point));
    } catch (const base::Error&) {
      died = true;
    }
    EXPECT_TRUE(verify().damage.empty()) << writes;
    if (!died) break;
    ASSERT_LT(writes, 10);
  }
  EXPECT_FALSE(storage_.exists(object_));
  EXPECT_EQ(count("manifests"), 1U);
}

// Killed after each write of the last publication: whoever enters it again states the group.
TEST_F(GroupCheckTest, APublicationKilledAnywhereIsEnteredAgain) {
  const Manifest point = points_[1].manifest;
  for (int writes = 0;; ++writes) {
    remove_manifest(storage_, point);
    DyingStorage dying(storage_, writes);
    Repository victim(dying, key(), folder_ / "victim-cache");
    const auto publish = [&](Repository& repository) {
      repository::publish(repository, point);
      complete_group(repository.keys(), repository.storage(), point);
    };
    bool died = false;
    try {
      publish(victim);
    } catch (const base::Error&) {
      died = true;
    }
    EXPECT_TRUE(verify().damage.empty()) << writes;
    publish(*repository_);
    EXPECT_TRUE(storage_.exists(object_)) << writes;
    if (!died) break;
    ASSERT_LT(writes, 10);
  }
}

TEST_F(GroupCheckTest, IsCopiedOnceAllItsPointsAre) {
  icecore::contract::MemoryStorage storage;
  const std::filesystem::path key = folder_ / "target-key";
  repository::create_key_file(key);
  Repository::create(storage, small_options(), repository::KeyFile{key});
  Repository target(storage, repository::KeyFile{key}, folder_ / "target-cache");
  copy_points(*repository_, target, {points_[0].manifest}, {});
  EXPECT_TRUE(list_groups(target).empty());
  copy_points(*repository_, target, {points_[1].manifest}, {});
  const auto groups = list_groups(target);
  ASSERT_EQ(groups.size(), 1U);
  EXPECT_EQ(groups[0].object, object_);
  EXPECT_TRUE(maintenance::verify(target, {.history = folder_ / "target-history"}, {}).good());
}

}  // namespace
}  // namespace icecore::maintenance
