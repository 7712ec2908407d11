// SPDX-License-Identifier: Apache-2.0
#include "maintenance/copy.hpp"

#include "unit/maintenance/fixture.hpp"

namespace icecore::maintenance {
namespace {

// Into a second repository with a key of its own.
class CopyTest : public MaintenanceFixture {
 protected:
  void SetUp() override {
    MaintenanceFixture::SetUp();
    target_ = make_target(small_options());
  }
  void TearDown() override {
    target_.reset();
    MaintenanceFixture::TearDown();
  }
  std::unique_ptr<Repository> make_target(const repository::InitOptions& options) {
    target_storage_.clear();
    const std::filesystem::path key = folder_ / ("target-key-" + base::random_id(4));
    repository::create_key_file(key);
    Repository::create(target_storage_, options, repository::KeyFile{key});
    return std::make_unique<Repository>(target_storage_, repository::KeyFile{key}, folder_ / "target-cache");
  }
  CopyReport copy() {
    std::vector<Manifest> points;
    for (const Point& point : points_) points.push_back(point.manifest);
    return copy_points(*repository_, *target_, points, {});
  }
  void expect_copied() {
    target_->refresh_index();
    const std::vector<Manifest> copies = repository::list_manifests(*target_);
    ASSERT_EQ(copies.size(), points_.size());
    for (std::size_t i = 0; i < copies.size(); ++i) {
      EXPECT_EQ(copies[i].id, points_[i].manifest.id);
      EXPECT_NE(copies[i].disks[0].image.root, points_[i].manifest.disks[0].image.root) << "another key, other names";
      EXPECT_EQ(read_image(*target_, copies[i].disks[0].image), make_image(points_[i].seeds));
    }
  }
  icecore::contract::MemoryStorage target_storage_;
  std::unique_ptr<Repository> target_;
};

TEST_F(CopyTest, PointsComeOverWithTheirIdsAndContent) {
  backup("a", {1, 2, 0, 3, 0, 0, 4, 1});
  backup("a", range(1, 60));
  backup("b", range(30, 70));
  const CopyReport report = copy();
  EXPECT_EQ(report.points.size(), 3U);
  EXPECT_FALSE(report.points[0].present);
  EXPECT_GE(report.bytes_new, 69U * k_block);
  expect_copied();
  EXPECT_EQ(count("locks") + target_storage_.list("locks").size(), 0U);
}

TEST_F(CopyTest, WhatIsThereIsNotCopiedAgain) {
  backup("a", range(1, 60));
  copy();
  points_.reserve(2);
  backup("a", range(2, 61));
  const CopyReport report = copy();
  EXPECT_TRUE(report.points[0].present);
  EXPECT_FALSE(report.points[1].present);
  EXPECT_LT(report.bytes_new, 30U * k_block) << "one new block, and nodes";
  EXPECT_EQ(copy().bytes_read, 0U);
  expect_copied();
}

// Points of one run share what they share: blocks are read once.
TEST_F(CopyTest, SharedBlocksAreReadOnce) {
  backup("a", range(1, 60));
  for (int i = 0; i < 3; ++i) backup("a", range(1, 60));
  EXPECT_EQ(copy().bytes_read, 59U * k_block);
  expect_copied();
}

TEST_F(CopyTest, ADamagedPointIsToldAndTheOthersCopied) {
  backup("a", range(1, 30));
  const auto first = storage_.list("packs");
  backup("b", range(100, 130));
  for (const auto& pack : first) storage_.remove(pack.name);
  const CopyReport report = copy();
  EXPECT_NE(report.points[0].problem, "");
  EXPECT_EQ(report.points[1].problem, "");
  points_.erase(points_.begin());
  expect_copied();
}

TEST_F(CopyTest, BlocksOfAnotherSizeAreRefused) {
  backup("a", range(1, 5));
  repository::InitOptions options = small_options();
  options.block_bytes *= 2;
  target_ = make_target(options);
  expect_fault(Fault::usage, "blocks of", [&] { copy(); });
}

TEST_F(CopyTest, ARepositoryIsNotCopiedIntoItself) {
  expect_fault(Fault::usage, "same repository", [&] { copy_points(*repository_, *repository_, {}, {}); });
}

}  // namespace
}  // namespace icecore::maintenance
