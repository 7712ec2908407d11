// SPDX-License-Identifier: Apache-2.0
// The object of a group is there only while all points of it are, whoever comes in between.
#include "repository/group.hpp"

#include "repository/protection.hpp"
#include "unit/maintenance/hooked_storage.hpp"
#include "unit/repository/fixture.hpp"

namespace icecore::repository {
namespace {

using base::Fault;

class GroupTest : public RepositoryFixture {
 protected:
  void SetUp() override {
    RepositoryFixture::SetUp();
    create();
    ManifestGroup group{.id = base::random_id(16), .spread_ms = 7, .quiesce = "required"};
    for (const std::string name : {"web1", "db1", "mail1"}) {
      Manifest& point = points_.emplace_back();
      point.id = base::random_id(16);
      point.domain_name = name;
      point.domain_uuid = base::random_uuid();
      point.time = base::parse_time("2026-11-21T09:30:00.130Z") - base::Milliseconds(points_.size());
      group.members.push_back({name, point.domain_uuid, point.id, point.time, Consistency::filesystem, 41});
    }
    for (Manifest& point : points_) point.group = group;
  }
  std::string object() const { return group_object(*points_.front().group); }
  bool is_stated() { return storage_.exists(object()); }
  void publish_in_group(storage::Storage& place, const Manifest& point) {
    publish(*repository_, point);
    complete_group(repository_->keys(), place, point);
  }
  void publish_all() {
    for (const Manifest& point : points_) publish_in_group(storage_, point);
  }

  std::vector<Manifest> points_;
};

TEST_F(GroupTest, IsStatedByWhoPublishesTheLastPoint) {
  EXPECT_EQ(object(), "groups/20261121T093000127Z-" + points_[0].group->id) << "named by its first instant";
  publish_in_group(storage_, points_[2]);
  publish_in_group(storage_, points_[0]);
  EXPECT_FALSE(is_stated());
  publish_in_group(storage_, points_[1]);
  EXPECT_TRUE(is_stated());
  publish_in_group(storage_, points_[1]);
  const auto groups = list_groups(*repository_);
  ASSERT_EQ(groups.size(), 1U);
  EXPECT_EQ(groups[0].object, object());
  const ManifestGroup& group = groups[0].group;
  EXPECT_EQ(group.id, points_[0].group->id);
  EXPECT_EQ(group.spread_ms, 7U);
  EXPECT_EQ(group.quiesce, "required");
  ASSERT_EQ(group.members.size(), 3U);
  EXPECT_EQ(group.members[1].domain_name, "db1");
  EXPECT_EQ(group.members[1].domain_uuid, points_[1].domain_uuid);
  EXPECT_EQ(group.members[1].point_id, points_[1].id);
  EXPECT_EQ(group.members[1].time, points_[1].time);
  EXPECT_EQ(group.members[1].consistency, Consistency::filesystem);
  EXPECT_EQ(group.members[1].freeze_ms, 41U);
}

TEST_F(GroupTest, ManifestsSayTheSame) {
  publish_all();
  const Manifest read = load_manifest(*repository_, manifest_object(points_[2]));
  ASSERT_TRUE(read.group);
  EXPECT_EQ(to_json(*read.group), to_json(*points_[2].group));
}

TEST_F(GroupTest, PointsOfOlderOnesHaveNoObject) {
  for (Manifest& point : points_) {
    point.group->quiesce.clear();
    for (auto& member : point.group->members) member.time = {};
  }
  publish_all();
  EXPECT_EQ(object(), "");
  EXPECT_TRUE(storage_.list("groups").empty());
  const Manifest read = load_manifest(*repository_, manifest_object(points_[1]));
  EXPECT_EQ(read.group->members.size(), 3U);
  EXPECT_TRUE(remove_point(*repository_, points_[1]));
}

TEST_F(GroupTest, GoesBeforeTheFirstOfItsPoints) {
  publish_all();
  std::vector<std::string> removed;
  maintenance::HookedStorage hooked(storage_, [&](const std::string& call) {
    if (call.starts_with("remove")) removed.push_back(call);
  });
  remove_manifest(hooked, points_[1]);
  ASSERT_GE(removed.size(), 2U);
  EXPECT_EQ(removed[0], "remove " + object());
  EXPECT_EQ(removed[1], "remove " + manifest_object(points_[1]));
  EXPECT_FALSE(is_stated());
  EXPECT_EQ(list_manifests(*repository_).size(), 2U);
}

TEST_F(GroupTest, OneForgottenWhileItIsStatedIsSeen) {
  publish_in_group(storage_, points_[0]);
  publish_in_group(storage_, points_[1]);
  bool forgotten = false;
  maintenance::HookedStorage hooked(storage_, [&](const std::string& call) {
    if (call == "put " + object() && !std::exchange(forgotten, true)) remove_manifest(storage_, points_[0]);
  });
  publish_in_group(hooked, points_[2]);
  EXPECT_TRUE(forgotten);
  EXPECT_FALSE(is_stated());
}

TEST_F(GroupTest, OneStatedWhileAPointIsForgottenGoesWithIt) {
  publish_in_group(storage_, points_[0]);
  publish_in_group(storage_, points_[1]);
  maintenance::HookedStorage hooked(storage_, [&](const std::string& call) {
    if (call == "remove " + manifest_object(points_[0])) publish_in_group(storage_, points_[2]);
  });
  remove_manifest(hooked, points_[0]);
  EXPECT_FALSE(storage_.exists(manifest_object(points_[0])));
  EXPECT_FALSE(is_stated());
}

TEST_F(GroupTest, APointThatComesBackStatesItAgain) {
  publish_all();
  EXPECT_TRUE(remove_point(*repository_, points_[0]));
  EXPECT_FALSE(is_stated());
  EXPECT_FALSE(leaves_one(*repository_, {}, points_[0]));
  EXPECT_TRUE(is_stated());
}

TEST_F(GroupTest, AnUnreadablePointTakesItAlong) {
  publish_all();
  const std::string lost = manifest_object(points_[1]);
  storage_.replace(lost, base::as_bytes("rubbish"));
  EXPECT_TRUE(remove_unreadable(*repository_, {lost, "rubbish"}));
  EXPECT_FALSE(is_stated());
}

TEST_F(GroupTest, AnObjectUnderAnotherNameIsDamage) {
  publish_all();
  const base::Bytes bytes = storage_.get(object(), base::k_mib);
  storage_.put("groups/20261121T093000127Z-" + base::random_id(16), bytes);
  storage_.replace(object(), base::as_bytes("rubbish"));
  std::vector<DamagedManifest> damaged;
  EXPECT_TRUE(list_groups(*repository_, &damaged).empty());
  EXPECT_EQ(damaged.size(), 2U);
  expect_fault(Fault::corrupt, object(), [&] { load_group(*repository_, object()); });
}

}  // namespace
}  // namespace icecore::repository
