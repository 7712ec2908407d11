// SPDX-License-Identifier: Apache-2.0
#include "base/clock.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace icecore::base {
namespace {

TEST(Clock, FormatAndParseAreInverse) {
  const Timestamp time = parse_time("2026-11-21T09:30:05.125Z");
  EXPECT_EQ(format_time(time), "2026-11-21T09:30:05.125Z");
  EXPECT_EQ(parse_time(format_time(time)), time);
}

TEST(Clock, ShorterFormsMeanTheirStart) {
  EXPECT_EQ(format_time(parse_time("2026-11-21")), "2026-11-21T00:00:00.000Z");
  EXPECT_EQ(format_time(parse_time("2026-11-21 09:30")), "2026-11-21T09:30:00.000Z");
  EXPECT_EQ(format_time(parse_time("2026-11-21T09:30:05")), "2026-11-21T09:30:05.000Z");
}

TEST(Clock, ShorterFormsHaveAnEndToo) {
  EXPECT_EQ(format_time(parse_time_end("2026-11-21")), "2026-11-21T23:59:59.999Z");
  EXPECT_EQ(format_time(parse_time_end("2026-11-21 09:30")), "2026-11-21T09:30:59.999Z");
  EXPECT_EQ(format_time(parse_time_end("2026-11-21T09:30:05Z")), "2026-11-21T09:30:05.999Z");
  EXPECT_EQ(format_time(parse_time_end("2026-11-21T09:30:05.125Z")), "2026-11-21T09:30:05.125Z");
}

TEST(Clock, RefusesWhatIsNoTime) {
  for (const char* text : {"", "yesterday", "2026-13-01", "2026-11-21T", "2026-11-21T09", "2026-11-21x"}) {
    EXPECT_THROW(parse_time(text), Error) << text;
  }
}

}  // namespace
}  // namespace icecore::base
