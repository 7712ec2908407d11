// SPDX-License-Identifier: Apache-2.0
#include "cli/progress_line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bytes.hpp"

namespace icecore::cli {
namespace {

using base::k_gib;
using base::k_mib;
using base::Milliseconds;
using testing::HasSubstr;

ProgressState half_way() {
  return {"web1", "read vda", job::Transfer{4 * k_gib, 2 * k_gib, k_gib, 512 * k_mib}, 256.0 * k_mib};
}

TEST(ProgressBar, ShowsEverythingWhereThereIsRoom) {
  EXPECT_EQ(
      format_progress_bar(half_way(), 130),
      "web1  read vda  [===============               ]  50 %  2.0 GiB of 4.0 GiB  new 1.0 GiB  stored 512.0 MiB  "
      "256.0 MiB/s  ETA 0:08");
}

TEST(ProgressBar, ShowsAllFactsOnAnUsualTerminal) {
  const std::string line = format_progress_bar(half_way(), 95);
  for (const char* fact :
       {"read vda", "2.0 GiB of 4.0 GiB", "new 1.0 GiB", "stored 512.0 MiB", "256.0 MiB/s", "ETA 0:08"}) {
    EXPECT_THAT(line, HasSubstr(fact));
  }
}

TEST(ProgressBar, NeverIsWiderThanTheTerminal) {
  for (unsigned width = 1; width < 150; ++width) EXPECT_LE(format_progress_bar(half_way(), width).size(), width);
}

TEST(ProgressBar, GivesUpWhatMattersLeastFirst) {
  EXPECT_EQ(format_progress_bar(half_way(), 79),
            "web1  read vda  50 %  2.0 GiB  stored 512.0 MiB  256.0 MiB/s  ETA 0:08");
  EXPECT_EQ(format_progress_bar(half_way(), 40), "web1  read vda  50 %  2.0 GiB  ETA 0:08");
  EXPECT_EQ(format_progress_bar(half_way(), 5), "web1");
}

TEST(ProgressBar, APhaseWithoutBytesIsItsName) {
  EXPECT_EQ(format_progress_bar({"web1", "freeze", {}, 0}, 80), "web1  freeze");
  EXPECT_EQ(format_progress_bar({"web1", "commit", job::Transfer{0, 0, 0, 0}, 0}, 80), "web1  commit");
}

TEST(ProgressBar, ShareStaysWithinTheBar) {
  EXPECT_THAT(format_progress_bar({"d", "p", job::Transfer{10, 20, 0, 0}, 0}, 40), HasSubstr("=]  100 %"));
  EXPECT_THAT(format_progress_bar({"d", "p", job::Transfer{10, 0, 0, 0}, 0}, 40), HasSubstr("[   "));
}

TEST(ProgressText, SaysItInWords) {
  EXPECT_EQ(format_progress_text(half_way()),
            "web1: read vda: 50 %, 2.0 GiB of 4.0 GiB, new 1.0 GiB, stored 512.0 MiB, 256.0 MiB/s, 0:08 left");
  EXPECT_EQ(format_progress_text({"web1", "commit", {}, 0}), "web1: commit");
}

TEST(Duration, MinutesAndHours) {
  EXPECT_EQ(format_duration(Milliseconds(0)), "0:00");
  EXPECT_EQ(format_duration(Milliseconds(61'000)), "1:01");
  EXPECT_EQ(format_duration(Milliseconds(3'723'000)), "1:02:03");
}

TEST(TimeLeft, IsUnknownWithoutARate) {
  EXPECT_FALSE(time_left({"d", "p", job::Transfer{10, 5, 0, 0}, 0}));
  EXPECT_FALSE(time_left({"d", "p", job::Transfer{10, 10, 0, 0}, 5}));
  EXPECT_FALSE(time_left({"d", "p", {}, 5}));
}

TEST(RateMeter, FollowsASteadyRate) {
  RateMeter meter;
  double rate = meter.update(0, Milliseconds(0));
  for (int i = 1; i <= 20; ++i) rate = meter.update(static_cast<std::uint64_t>(i) * 100, Milliseconds(i * 100));
  EXPECT_NEAR(rate, 1000, 1);
}

TEST(RateMeter, MovesToANewRateWithinSeconds) {
  RateMeter meter;
  meter.update(0, Milliseconds(0));
  meter.update(1000, Milliseconds(1000));
  double rate = 0;
  for (int i = 1; i <= 150; ++i)
    rate = meter.update(1000 + static_cast<std::uint64_t>(i) * 10, Milliseconds(1000 + i * 100));
  EXPECT_NEAR(rate, 100, 60);
}

TEST(RateMeter, StartsAnewWithANewTransfer) {
  RateMeter meter;
  meter.update(0, Milliseconds(0));
  meter.update(1000, Milliseconds(1000));
  EXPECT_EQ(meter.update(0, Milliseconds(2000)), 0);
  EXPECT_NEAR(meter.update(50, Milliseconds(3000)), 50, 0.1);
}

TEST(ProgressLine, UploadIsASecondBar) {
  ProgressState state{.domain = "web1", .phase = "read vda", .transfer = job::Transfer{}};
  state.transfer->bytes_total = 100;
  state.transfer->bytes_done = 50;
  state.upload = UploadState{.bytes_done = 30, .bytes_total = 100, .waiting_for = {}};
  const std::string line = format_progress_bar(state, 120);
  EXPECT_NE(line.find("upload [===       ] 30 %"), std::string::npos) << line;
  EXPECT_NE(line.find("50 %"), std::string::npos) << line;
  state.upload->waiting_for = "the network is down";
  EXPECT_NE(format_progress_bar(state, 120).find("30 %, waits"), std::string::npos);
  EXPECT_EQ(format_upload_text(*state.upload), "upload waits: the network is down");
}

}  // namespace
}  // namespace icecore::cli
