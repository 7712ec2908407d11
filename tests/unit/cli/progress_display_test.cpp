// SPDX-License-Identifier: Apache-2.0
#include "cli/progress_display.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace icecore::cli {
namespace {

using base::Milliseconds;
using testing::EndsWith;
using testing::HasSubstr;

class ProgressDisplayTest : public testing::Test {
 protected:
  std::unique_ptr<ProgressDisplay> make(ProgressStyle style) {
    return make_progress_display(style, console_, [this] { return Milliseconds(moment_ms_); });
  }
  // Tells `count` transfers, one every `interval_ms`.
  void transfer(ProgressDisplay& display, int count, int interval_ms) {
    for (int i = 1; i <= count; ++i) {
      moment_ms_ += interval_ms;
      done_ += 1000;
      display.transfer({1'000'000, done_, 0, 0});
    }
  }
  long frames() const { return std::count(err_.view().begin(), err_.view().end(), '\r'); }

  std::ostringstream out_;
  std::ostringstream err_;
  Console console_{out_, err_};
  int moment_ms_ = 1'000'000;
  std::uint64_t done_ = 0;
};

TEST_F(ProgressDisplayTest, BarIsRedrawnAtMostTenTimesASecond) {
  const auto display = make(ProgressStyle::bar);
  display->phase("web1", "read vda");
  transfer(*display, 1000, 1);
  EXPECT_LE(frames(), 11);
  EXPECT_GE(frames(), 9);
  EXPECT_EQ(out_.str(), "");
}

TEST_F(ProgressDisplayTest, NotesStandAboveTheBarAndClearLeavesNothing) {
  const auto display = make(ProgressStyle::bar);
  display->phase("web1", "freeze");
  display->note("web1", "disk 'hda' is skipped");
  EXPECT_THAT(err_.str(), EndsWith("\r\x1b[Kweb1: disk 'hda' is skipped\n"));
  display->phase("web1", "commit");
  display->clear();
  EXPECT_THAT(err_.str(), EndsWith("web1  commit\r\x1b[K"));
}

TEST_F(ProgressDisplayTest, LinesArePhasesAndOneEveryTenSeconds) {
  const auto display = make(ProgressStyle::lines);
  display->phase("web1", "read vda");
  transfer(*display, 350, 100);
  display->phase("web1", "commit");
  const std::string text = err_.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5) << text;
  EXPECT_THAT(text, HasSubstr("web1: read vda: "));
  EXPECT_THAT(text, EndsWith("web1: commit\n"));
  EXPECT_EQ(frames(), 0);
}

TEST_F(ProgressDisplayTest, SilentSaysNothing) {
  const auto display = make(ProgressStyle::silent);
  display->phase("web1", "read vda");
  transfer(*display, 10, 10'000);
  display->note("web1", "x");
  EXPECT_EQ(err_.str(), "");
}

TEST_F(ProgressDisplayTest, StyleFollowsTheConsole) {
  EXPECT_EQ(progress_style(console_, false), ProgressStyle::lines);
  console_.err_is_terminal = true;
  EXPECT_EQ(progress_style(console_, false), ProgressStyle::bar);
  EXPECT_EQ(progress_style(console_, true), ProgressStyle::silent);
}

}  // namespace
}  // namespace icecore::cli
