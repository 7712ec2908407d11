// SPDX-License-Identifier: Apache-2.0
// What rots in the spool before it was uploaded costs the points that need it, and nothing else.
#include <fstream>

#include "unit/staging/fixture.hpp"

namespace icecore::staging {
namespace {

class DamagedSpool : public SpoolFixture {
 protected:
  void SetUp() override {
    SpoolFixture::SetUp();
    process_ = open();
  }
  std::vector<std::string> spooled(const std::string& folder) {
    std::vector<std::string> names;
    for (const auto& object : process_.storage->spool().objects().list(folder)) names.push_back(object.name);
    return names;
  }
  void rot(const std::string& name) {
    const std::filesystem::path path = process_.storage->spool().folder() / "objects" / name;
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(path) / 2));
    file << "rot";
    ASSERT_TRUE(file.good());
  }
  // Of the point made by action().
  template <typename Action>
  std::set<std::string> new_packs(Action&& action) {
    const std::vector<std::string> before = spooled("packs");
    action();
    const std::vector<std::string> after = spooled("packs");
    std::set<std::string> fresh(after.begin(), after.end());
    for (const std::string& name : before) fresh.erase(name);
    return fresh;
  }

  Process process_;
};

TEST_F(DamagedSpool, RottenPackCostsOnlyThePointsThatNeedIt) {
  std::string bad;
  const auto packs = new_packs([&] { bad = back_up(process_, seeds(1, 64)); });
  const std::string good = back_up(process_, seeds(500, 64));
  const std::string shares_it = back_up(process_, seeds(1, 64));
  rot(*packs.begin());
  const UploadReport report = upload(process_);
  EXPECT_EQ(report.published, std::vector<std::string>{good});
  ASSERT_EQ(report.refused.size(), 2U);
  EXPECT_EQ(report.refused[0].manifest, bad);
  EXPECT_EQ(report.refused[1].manifest, shares_it);
  EXPECT_EQ(read_point(*open_remote(), good), make_image(seeds(500, 64)));
  const auto there = names_of("packs");
  EXPECT_EQ(std::count(there.begin(), there.end(), *packs.begin()), 0);
}

// It was sound a moment before, and is shorter than that as its bytes are read for the remote.
TEST_F(DamagedSpool, PackThatRotsWhileItIsSentDoesTheSame) {
  std::string bad;
  const auto packs = new_packs([&] { bad = back_up(process_, seeds(1, 64)); });
  const std::string good = back_up(process_, seeds(500, 64));
  remote_.before_put([&](const std::string& name) {
    if (name != *packs.begin()) return;
    rot(name);
    base::fail(base::Fault::corrupt, "'{}' is shorter than expected", name);
  });
  UploadOptions one_by_one = fast();
  one_by_one.limit.rate = base::k_gib;
  const UploadReport report = upload(process_, one_by_one);
  EXPECT_EQ(report.published, std::vector<std::string>{good});
  ASSERT_EQ(report.refused.size(), 1U);
  EXPECT_EQ(report.refused[0].manifest, bad);
  const auto there = names_of("packs");
  EXPECT_EQ(std::count(there.begin(), there.end(), *packs.begin()), 0);
}

TEST_F(DamagedSpool, OthersAreNotPromisedWhatNeverCame) {
  const auto packs = new_packs([&] { back_up(process_, seeds(1, 64)); });
  rot(*packs.begin());
  upload(process_);
  process_ = {};
  process_ = open();
  const std::string again = back_up(process_, seeds(1, 64));
  EXPECT_EQ(upload(process_).published, std::vector<std::string>{again});
  EXPECT_EQ(read_point(*open_remote(), again), make_image(seeds(1, 64)));
}

TEST_F(DamagedSpool, RottenPackTheRemoteHasIsNoLoss) {
  std::string point;
  const auto packs = new_packs([&] { point = back_up(process_, seeds(1, 64)); });
  remote_.objects.put(*packs.begin(), process_.storage->get(*packs.begin(), base::k_mib));
  rot(*packs.begin());
  EXPECT_EQ(upload(process_).published, std::vector<std::string>{point});
  EXPECT_EQ(read_point(*open_remote(), point), make_image(seeds(1, 64)));
}

TEST_F(DamagedSpool, RottenIndexOrManifest) {
  for (const char* folder : {"index", "manifests"}) {
    const std::string bad = back_up(process_, seeds(1000, 8));
    rot(folder == std::string("index") ? spooled(folder).front() : bad);
    const std::string good = back_up(process_, {});
    const UploadReport report = upload(process_);
    EXPECT_EQ(report.published, std::vector<std::string>{good}) << folder;
    ASSERT_EQ(report.refused.size(), 1U) << folder;
    EXPECT_EQ(report.refused[0].manifest, bad);
    process_ = {};
    process_ = open();
  }
}

// Without encryption the same blocks make the same pack, name and all.
TEST_F(DamagedSpool, PackThatComesAgainIsStoredAgain) {
  const auto packs = new_packs([&] { back_up(process_, seeds(1, 64)); });
  const base::Bytes bytes = process_.storage->get(*packs.begin(), base::k_mib);
  rot(*packs.begin());
  upload(process_);
  process_.storage->put(*packs.begin(), bytes);
  EXPECT_EQ(process_.storage->get(*packs.begin(), base::k_mib), bytes);
  upload(process_);
  EXPECT_EQ(remote_.objects.get(*packs.begin(), base::k_mib), bytes);
}

TEST_F(DamagedSpool, NextPointMakesUpForARefusedOne) {
  const auto packs = new_packs([&] { back_up(process_, seeds(1, 64)); });
  rot(*packs.begin());
  EXPECT_EQ(upload(process_).refused.size(), 1U);
  process_ = {};
  process_ = open();
  const std::string good = back_up(process_, seeds(1, 64));
  EXPECT_EQ(upload(process_).published, std::vector<std::string>{good});
  EXPECT_TRUE(process_.storage->spool().queue().in_state(ObjectState::refused).empty());
  EXPECT_EQ(files_in_spool(*process_.storage), 0U);
}

// What a later index may still name is remembered as lost.
TEST_F(DamagedSpool, RefusedPackIsKnownWhileItsWriterLives) {
  Process other = open();
  const auto packs = new_packs([&] {
    repository::BlockWriter writer(*other.repository);
    store_image(writer, seeds(1, 64));
  });
  rot(*packs.begin());
  back_up(process_, seeds(500, 8));
  upload(process_);
  ASSERT_TRUE(process_.storage->spool().queue().find(*packs.begin()));
  EXPECT_EQ(process_.storage->spool().queue().find(*packs.begin())->state, ObjectState::refused);
}

TEST_F(DamagedSpool, RefusedManifestStaysForWhoWantsToKnow) {
  const std::string bad = back_up(process_, seeds(1, 8));
  rot(bad);
  upload(process_);
  EXPECT_TRUE(process_.storage->spool().objects().exists(bad));
  EXPECT_EQ(process_.storage->spool().queue().find(bad)->state, ObjectState::refused);
}

}  // namespace
}  // namespace icecore::staging
