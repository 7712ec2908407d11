// SPDX-License-Identifier: Apache-2.0
// A group's points go up one by one, maybe long after each other; the last of them brings the group's object.
#include "repository/group.hpp"

#include "unit/staging/fixture.hpp"

namespace icecore::staging {
namespace {

using base::Fault;

class GroupUploadTest : public SpoolFixture {
 protected:
  void SetUp() override {
    SpoolFixture::SetUp();
    process_ = open();
    for (const char* uuid : {k_uuid, "11111111-2222-3333-4444-666666666666"}) {
      repository::Manifest& point = points_of_group_.emplace_back();
      point.id = base::random_id(16);
      point.domain_uuid = uuid;
      point.domain_name = "web" + std::to_string(points_of_group_.size());
      point.time = base::Timestamp(base::Milliseconds(1'700'000'000'000));
    }
    repository::ManifestGroup group{.id = base::random_id(16), .quiesce = "try"};
    for (const auto& point : points_of_group_)
      group.members.push_back({.domain_name = point.domain_name,
                               .domain_uuid = point.domain_uuid,
                               .point_id = point.id,
                               .time = point.time});
    for (auto& point : points_of_group_) point.group = group;
  }
  std::string stage(std::size_t number, const std::vector<std::uint64_t>& content) {
    repository::BlockWriter writer(*process_.repository);
    repository::Manifest& point = points_of_group_.at(number);
    point.disks.resize(1);
    point.disks[0].target = "vda";
    point.disks[0].image = store_image(writer, content);
    point.disks[0].virtual_size = content.size() * k_block;
    writer.finish();
    return repository::publish(*process_.repository, point);
  }
  std::vector<std::string> groups() { return names_of("groups"); }

  Process process_;
  std::vector<repository::Manifest> points_of_group_;
};

TEST_F(GroupUploadTest, TheLastPointBringsTheGroup) {
  stage(0, seeds(1, 8));
  stage(1, seeds(20, 8));
  EXPECT_TRUE(groups().empty()) << "nothing is stated of what is here only";
  upload(process_);
  ASSERT_EQ(groups().size(), 1U);
  const std::vector<std::string> puts = remote_.puts();
  const auto last_manifest =
      std::find_if(puts.rbegin(), puts.rend(), [](const auto& name) { return name.starts_with("manifests/"); });
  const auto group = std::find(puts.rbegin(), puts.rend(), groups()[0]);
  EXPECT_LT(group - puts.rbegin(), last_manifest - puts.rbegin()) << "it comes after both points";
}

TEST_F(GroupUploadTest, OneUploadedMuchLaterBringsIt) {
  stage(0, seeds(1, 8));
  upload(process_);
  EXPECT_TRUE(groups().empty());
  process_ = {};
  process_ = open();
  stage(1, seeds(20, 8));
  upload(process_);
  EXPECT_EQ(groups().size(), 1U);
}

TEST_F(GroupUploadTest, OneWhoseSisterWasForgottenBringsNone) {
  const std::string first = stage(0, seeds(1, 8));
  upload(process_);
  remote_.objects.remove(first);
  stage(1, seeds(20, 8));
  upload(process_);
  EXPECT_TRUE(groups().empty());
  EXPECT_EQ(names_of("manifests").size(), 1U);
}

TEST_F(GroupUploadTest, ARefusedPointLeavesTheOthersAndNoGroup) {
  stage(0, seeds(1, 8));
  for (const auto& pack : process_.storage->spool().objects().list("packs"))
    std::filesystem::resize_file(process_.storage->spool().objects().file_of(pack.name), pack.size / 2);
  stage(1, seeds(20, 8));
  const UploadReport report = upload(process_);
  EXPECT_EQ(report.refused.size(), 1U);
  EXPECT_EQ(report.published.size(), 1U);
  EXPECT_TRUE(groups().empty());
}

// The row of the last point stays queued until the group is there: the next attempt states it.
TEST_F(GroupUploadTest, OneThatCouldNotBeStatedIsTriedAgain) {
  stage(0, seeds(1, 8));
  const std::string last = stage(1, seeds(20, 8));
  remote_.fail_puts("groups", Fault::unavailable);
  UploadOptions impatient = fast();
  impatient.stall_max = base::Milliseconds(200);
  EXPECT_THROW(upload(process_, impatient), base::Error);
  EXPECT_EQ(names_of("manifests").size(), 2U);
  EXPECT_TRUE(is_pending(process_.storage->spool(), last));
  remote_.fail_puts("", std::nullopt);
  upload(process_);
  EXPECT_EQ(groups().size(), 1U);
}

}  // namespace
}  // namespace icecore::staging
