// SPDX-License-Identifier: Apache-2.0
// A point waits in staging while another host forgets what it shares blocks with, and prunes.
#include "maintenance/prune.hpp"
#include "unit/staging/fixture.hpp"

namespace icecore::staging {
namespace {

using base::Fault;

constexpr std::chrono::hours k_grace{24};

class PruneMeanwhile : public SpoolFixture {
 protected:
  // One point on the remote, and one in the spool that shares all of its blocks.
  void SetUp() override {
    SpoolFixture::SetUp();
    process_ = open();
    old_ = back_up(process_, seeds(1, 64));
    upload(process_);
    waiting_ = back_up(process_, seeds(1, 64));
  }
  void forget_and_prune(std::chrono::seconds grace) {
    remote_.objects.remove(old_);
    maintenance::prune(*open_remote(), {.grace = grace}, {});
  }
  void expect_whole() {
    EXPECT_EQ(read_point(*open_remote(), waiting_), make_image(seeds(1, 64)));
    maintenance::prune(*open_remote(), {.grace = std::chrono::seconds(0)}, {});
    EXPECT_EQ(read_point(*open_remote(), waiting_), make_image(seeds(1, 64))) << "after another prune";
  }
  void expect_swept_and_refused(std::size_t points) {
    EXPECT_GT(maintenance::prune(*open_remote(), {.grace = std::chrono::seconds(0)}, {}).deleted.packs, 0U);
    const UploadReport report = upload(process_);
    EXPECT_TRUE(report.published.empty());
    EXPECT_EQ(report.refused.size(), points);
    EXPECT_TRUE(names_of("manifests").empty());
    const std::string next = back_up(process_, seeds(1, 64));
    EXPECT_EQ(upload(process_).published, std::vector<std::string>{next});
    EXPECT_EQ(read_point(*open_remote(), next), make_image(seeds(1, 64)));
  }

  Process process_;
  std::string old_;
  std::string waiting_;
};

TEST_F(PruneMeanwhile, NothingPrunedNothingWalked) {
  const std::uint64_t before = remote_.calls();
  EXPECT_EQ(upload(process_).published, std::vector<std::string>{waiting_});
  EXPECT_LT(remote_.calls() - before, 12U);
}

TEST_F(PruneMeanwhile, MarkedPacksAreTakenBack) {
  forget_and_prune(k_grace);
  EXPECT_EQ(upload(process_).published, std::vector<std::string>{waiting_});
  expect_whole();
}

TEST_F(PruneMeanwhile, MarkedPacksAreTakenBackByAnotherProcess) {
  forget_and_prune(k_grace);
  process_ = {};
  process_ = open();
  EXPECT_EQ(upload(process_).published, std::vector<std::string>{waiting_});
  expect_whole();
}

TEST_F(PruneMeanwhile, PointWhoseBlocksAreGoneIsRefused) {
  forget_and_prune(std::chrono::seconds(0));
  process_ = {};
  process_ = open();
  const UploadReport report = upload(process_);
  EXPECT_TRUE(report.published.empty());
  ASSERT_EQ(report.refused.size(), 1U);
  EXPECT_NE(report.refused[0].reason.find("are gone"), std::string::npos) << report.refused[0].reason;
  EXPECT_TRUE(names_of("manifests").empty());
  const std::string next = back_up(process_, seeds(1, 64));
  EXPECT_EQ(upload(process_).published, std::vector<std::string>{next});
  EXPECT_EQ(read_point(*open_remote(), next), make_image(seeds(1, 64)));
}

TEST_F(PruneMeanwhile, RottenMarkCostsNoPoint) {
  forget_and_prune(k_grace);
  const std::string mark = names_of("prunes").front();
  const base::Bytes good = remote_.objects.get(mark, base::k_mib);
  remote_.damage(mark, good.size() / 2, good.size());
  const std::string other = back_up(process_, {});
  UploadOptions options = fast();
  options.stall_max = base::Milliseconds(300);
  EXPECT_THROW(upload(process_, options), base::Error);
  EXPECT_EQ(names_of("manifests"), std::vector<std::string>{other}) << "others go on";
  EXPECT_TRUE(is_pending(process_.storage->spool(), waiting_));
  remote_.objects.replace(mark, good);
  EXPECT_EQ(upload(process_).published, std::vector<std::string>{waiting_});
  expect_whole();
}

TEST_F(PruneMeanwhile, PruneBetweenTheLookAndTheManifest) {
  bool pruned = false;
  remote_.before_put([&](const std::string& name) {
    if (name.starts_with("manifests/") && !std::exchange(pruned, true)) forget_and_prune(k_grace);
  });
  EXPECT_EQ(upload(process_).published, std::vector<std::string>{waiting_});
  EXPECT_TRUE(pruned);
  expect_whole();
}

// A person takes its lock for left behind, and a prune sweeps before the manifest is there.
TEST_F(PruneMeanwhile, SweepBetweenTheLookAndTheManifest) {
  bool pruned = false;
  remote_.before_put([&](const std::string& name) {
    if (!name.starts_with("manifests/") || std::exchange(pruned, true)) return;
    for (const std::string& lock : names_of("locks")) remote_.objects.remove(lock);
    forget_and_prune(std::chrono::seconds(0));
  });
  const UploadReport report = upload(process_);
  EXPECT_TRUE(pruned);
  EXPECT_TRUE(report.published.empty());
  EXPECT_EQ(report.refused.size(), 1U);
  EXPECT_TRUE(names_of("manifests").empty()) << "it lacks its blocks";
}

TEST_F(PruneMeanwhile, ReplacedIndexOfBlocksThatStay) {
  // Half of the old point's blocks are needed by nobody else: its sparse packs are written anew.
  const std::string half = back_up(process_, seeds(1, 8));
  const auto remote = open_remote();
  remote_.objects.remove(old_);
  maintenance::prune(*remote, {.grace = k_grace, .live_percent_min = 100}, {});
  const UploadReport report = upload(process_);
  EXPECT_EQ(std::set(report.published.begin(), report.published.end()), (std::set<std::string>{waiting_, half}));
  expect_whole();
  EXPECT_EQ(read_point(*open_remote(), half), make_image(seeds(1, 8)));
}

// Packs were taken back into an index that waits here, and a prune sweeps before it gets there: whoever did that holds
// no lock any more.
TEST_F(PruneMeanwhile, WhatIsSweptBeforeItsIndexGoesUpIsRefused) {
  forget_and_prune(k_grace);
  remote_.before_put([&](const std::string& name) {
    if (name.starts_with("index/")) base::fail(Fault::no_space, "full");
  });
  UploadOptions options = fast();
  options.stall_max = base::Milliseconds(300);
  EXPECT_THROW(upload(process_, options), base::Error);
  remote_.before_put([](const std::string&) {});
  expect_swept_and_refused(1);
}

TEST_F(PruneMeanwhile, WhatABackupTookBackMayBeSweptBeforeItsUpload) {
  back_up(process_, seeds(1, 64), [&] { forget_and_prune(k_grace); });
  expect_swept_and_refused(2);
}

// A disk without a block has no index to wait for.
TEST_F(PruneMeanwhile, PointWithoutBlocksInANewRepository) {
  for (const std::string& name : names_of("index")) remote_.objects.remove(name);
  remote_.objects.remove(old_);
  process_ = {};
  std::filesystem::remove_all(staging());
  process_ = open();
  const std::string empty = back_up(process_, {});
  EXPECT_EQ(upload(process_).published, std::vector<std::string>{empty});
}

}  // namespace
}  // namespace icecore::staging
