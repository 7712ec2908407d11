// SPDX-License-Identifier: Apache-2.0
// A thread that uploads one pack after another over one connection: what it leaves when one of them, or it, fails.
#include <gmock/gmock.h>

#include <fstream>

#include "unit/staging/fixture.hpp"

namespace icecore::staging {
namespace {

using base::Fault;
using testing::Contains;
using testing::ElementsAre;

class PackTurn : public SpoolFixture {
 protected:
  void SetUp() override {
    SpoolFixture::SetUp();
    process_ = open();
    point_ = back_up(process_, seeds(1, 512));
    packs_ = queued_packs();
    ASSERT_GT(packs_.size(), 20U);
  }
  static UploadOptions one_thread() {
    UploadOptions options = fast();
    options.threads = 1;
    return options;
  }
  // In the queue's order.
  std::vector<std::string> queued_packs() {
    std::vector<std::string> names;
    for (const QueuedObject& object : process_.storage->spool().queue().queued(1000)) {
      if (object.kind == ObjectClass::pack) names.push_back(object.name);
    }
    return names;
  }
  std::vector<std::string> packs_put() {
    std::vector<std::string> names = remote_.puts();
    std::erase_if(names, [](const std::string& name) { return !name.starts_with("packs/"); });
    return names;
  }
  void expect_whole_point(const UploadReport& report) {
    EXPECT_THAT(report.published, ElementsAre(point_));
    EXPECT_EQ(read_point(*open_remote(), point_), make_image(seeds(1, 512)));
    EXPECT_EQ(files_in_spool(*process_.storage), 0U);
  }

  Process process_;
  std::string point_;
  std::vector<std::string> packs_;
};

TEST_F(PackTurn, PacksFollowEachOtherInTheQueuesOrder) {
  expect_whole_point(upload(process_, one_thread()));
  EXPECT_EQ(packs_put(), packs_);
  EXPECT_EQ(remote_.runs().front(), 16U);
}

TEST_F(PackTurn, ManyThreadsTakeEachPackOnce) {
  UploadOptions options = fast();
  options.threads = 6;
  expect_whole_point(upload(process_, options));
  EXPECT_THAT(packs_put(), testing::UnorderedElementsAreArray(packs_));
}

// A point would wait for ever behind a backup that is faster than its packs go up.
TEST_F(PackTurn, AnIndexDoesNotWaitForPacksBehindIt) {
  back_up(process_, seeds(2000, 512));
  upload(process_, one_thread());
  const std::vector<std::string> puts = remote_.puts();
  const auto index =
      std::find_if(puts.begin(), puts.end(), [](const auto& name) { return name.starts_with("index/"); });
  EXPECT_LE(index - puts.begin(), static_cast<std::ptrdiff_t>(packs_.size() + 3));
}

TEST_F(PackTurn, WithALimitEachIsPaidForByItself) {
  UploadOptions options = one_thread();
  options.limit.rate = base::k_gib;
  expect_whole_point(upload(process_, options));
  EXPECT_TRUE(remote_.runs().empty());
}

TEST_F(PackTurn, ARottenPackIsLeftOut) {
  std::ofstream(process_.storage->spool().objects().file_of(packs_[3])) << "rot";
  const UploadReport report = upload(process_, one_thread());
  EXPECT_EQ(report.refused.size(), 1U);
  std::vector<std::string> others = packs_;
  others.erase(others.begin() + 3);
  EXPECT_EQ(packs_put(), others);
}

TEST_F(PackTurn, APackThatRotsWhileItIsSentIsLeftOut) {
  remote_.before_put([&](const std::string& name) {
    if (name != packs_[3]) return;
    std::filesystem::resize_file(process_.storage->spool().objects().file_of(name), 10);
    base::fail(Fault::corrupt, "'{}' is shorter than expected", name);
  });
  const UploadReport report = upload(process_, one_thread());
  EXPECT_EQ(report.refused.size(), 1U);
  std::vector<std::string> others = packs_;
  others.erase(others.begin() + 3);
  EXPECT_EQ(packs_put(), others);
}

TEST_F(PackTurn, ADamagedPackOnTheRemoteIsMadeAnew) {
  for (const std::size_t i : {0U, 5U, 6U}) remote_.objects.put(packs_[i], base::as_bytes("half"));
  expect_whole_point(upload(process_, one_thread()));
  EXPECT_THAT(packs_put(), testing::UnorderedElementsAreArray(packs_));
}

class PackTurnFails : public PackTurn, public testing::WithParamInterface<Fault> {};

TEST_P(PackTurnFails, AllThatWasTakenGoesBack) {
  int left = 2;
  remote_.before_put([&](const std::string& name) {
    if (name == packs_[4] && left-- > 0) base::fail(GetParam(), "not now");
  });
  std::set<std::string> waited;
  const auto note = [&](const UploadStatus& status) { waited.insert(status.waiting_for); };
  expect_whole_point(Uploader(*process_.storage, *process_.repository, one_thread(), note, {}).finish());
  EXPECT_LT(left, 0);
  EXPECT_THAT(waited, Contains(testing::HasSubstr("not now")));
  EXPECT_EQ(packs_put(), packs_);
}

INSTANTIATE_TEST_SUITE_P(Faults, PackTurnFails, testing::Values(Fault::unavailable, Fault::no_space, Fault::not_found),
                         [](const auto& fault) { return std::string(to_string(fault.param)); });

TEST_F(PackTurn, AStopLeavesTheRestToTheNext) {
  std::stop_source stop;
  remote_.before_put([&](const std::string& name) {
    if (name == packs_[4]) stop.request_stop();
  });
  EXPECT_THROW(Uploader(*process_.storage, *process_.repository, one_thread(), {}, stop.get_token()).finish(),
               base::Error);
  EXPECT_LE(packs_put().size(), 6U);
  remote_.before_put({});
  expect_whole_point(upload(process_, one_thread()));
  EXPECT_EQ(packs_put(), packs_) << "none is sent again";
}

// A pack that was stored is noted or not; the one behind it was begun. The spool is put back to what it was at the
// moment of a kill -9, and the remote has what it has.
class PackTurnKilled : public PackTurn, public testing::WithParamInterface<std::size_t> {};

TEST_P(PackTurnKilled, WhatIsNotNotedIsSentAgain) {
  const std::filesystem::path copy = folder_ / "at-the-kill";
  std::stop_source stop;
  remote_.before_put([&](const std::string& name) {
    if (name != packs_[GetParam()]) return;
    std::filesystem::copy(staging(), copy, std::filesystem::copy_options::recursive);
    stop.request_stop();
  });
  EXPECT_THROW(Uploader(*process_.storage, *process_.repository, one_thread(), {}, stop.get_token()).finish(),
               base::Error);
  process_ = {};
  std::filesystem::remove_all(staging());
  std::filesystem::rename(copy, staging());
  remote_.before_put({});
  process_ = open();
  const std::vector<std::string> queued = queued_packs();
  EXPECT_EQ(queued, std::vector<std::string>(packs_.begin() + static_cast<std::ptrdiff_t>(GetParam()), packs_.end()));
  expect_whole_point(upload(process_, one_thread()));
}

INSTANTIATE_TEST_SUITE_P(At, PackTurnKilled, testing::Values(0U, 1U, 2U, 15U, 16U, 17U));

}  // namespace
}  // namespace icecore::staging
