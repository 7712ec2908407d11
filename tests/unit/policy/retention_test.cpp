// SPDX-License-Identifier: Apache-2.0
#include "policy/retention.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.hpp"

namespace icecore::policy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Times = std::vector<std::string>;

const base::Timestamp k_now = base::parse_time("2026-11-21T12:00:00Z");

std::vector<RetentionPoint> points_at(const Times& times) {
  std::vector<RetentionPoint> points;
  for (const std::string& time : times) points.push_back({.id = time, .time = base::parse_time(time)});
  return points;
}

Times kept(const Retention& rules, const std::vector<RetentionPoint>& points, base::Timestamp now = k_now) {
  const std::vector<Verdict> verdicts = apply(rules, points, now);
  Times times;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (verdicts[i].keep()) times.push_back(points[i].id);
  }
  return times;
}

struct Case {
  const char* name;
  Retention rules;
  Times points;
  Times kept;
};

std::ostream& operator<<(std::ostream& out, const Case& one) { return out << one.name; }

class RetentionTable : public testing::TestWithParam<Case> {};

TEST_P(RetentionTable, Keeps) {
  const Case& one = GetParam();
  EXPECT_EQ(kept(one.rules, points_at(one.points)), one.kept);
  Times backwards = one.points;
  std::reverse(backwards.begin(), backwards.end());
  Times expected = one.kept;
  std::reverse(expected.begin(), expected.end());
  EXPECT_EQ(kept(one.rules, points_at(backwards)), expected) << "the order of points matters";
}

INSTANTIATE_TEST_SUITE_P(
    Retention, RetentionTable,
    testing::Values(
        Case{"last", {.keep_last = 2}, {"2026-11-18", "2026-11-19", "2026-11-20"}, {"2026-11-19", "2026-11-20"}},
        Case{"last_counts_points_not_periods",
             {.keep_last = 2},
             {"2026-11-20T01:00", "2026-11-20T01:01", "2026-11-20T01:02"},
             {"2026-11-20T01:01", "2026-11-20T01:02"}},
        Case{"the_newest_of_each_hour",
             {.keep_hourly = 2},
             {"2026-11-20T01:10", "2026-11-20T01:50", "2026-11-20T03:00", "2026-11-20T03:59"},
             {"2026-11-20T01:50", "2026-11-20T03:59"}},
        Case{"days_without_points_do_not_count",
             {.keep_daily = 2},
             {"2026-01-01", "2026-06-01T01:00", "2026-06-01T02:00", "2026-11-20"},
             {"2026-06-01T02:00", "2026-11-20"}},
        Case{"weeks_begin_on_monday",
             {.keep_weekly = 2},
             {"2026-11-08", "2026-11-15T23:59", "2026-11-16T00:00", "2026-11-20"},
             {"2026-11-15T23:59", "2026-11-20"}},
        Case{"a_week_across_the_year_is_one",
             {.keep_weekly = 2},
             {"2025-12-20", "2025-12-29", "2026-01-02", "2026-11-20"},
             {"2026-01-02", "2026-11-20"}},
        Case{"months",
             {.keep_monthly = 2},
             {"2025-11-30", "2026-10-01", "2026-10-31T23:59", "2026-11-01"},
             {"2026-10-31T23:59", "2026-11-01"}},
        Case{"the_same_month_of_another_year",
             {.keep_monthly = 2},
             {"2024-11-20", "2025-11-20", "2026-11-20"},
             {"2025-11-20", "2026-11-20"}},
        Case{"years",
             {.keep_yearly = 2},
             {"2024-01-01", "2025-12-31T23:59", "2026-01-01"},
             {"2025-12-31T23:59", "2026-01-01"}},
        Case{"rules_add_up",
             {.keep_last = 1, .keep_monthly = 2},
             {"2026-09-30", "2026-10-30", "2026-10-31", "2026-11-19", "2026-11-20"},
             {"2026-10-31", "2026-11-20"}},
        // An hour that summer time has twice, and one it leaves out, are hours like any other in UTC.
        Case{"the_night_summer_time_ends",
             {.keep_hourly = 4},
             {"2026-10-24T23:30", "2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30", "2026-10-25T03:30"},
             {"2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30", "2026-10-25T03:30"}},
        Case{"the_night_summer_time_begins",
             {.keep_daily = 2},
             {"2026-03-28T23:30", "2026-03-29T00:30", "2026-03-29T01:30", "2026-03-29T23:30"},
             {"2026-03-28T23:30", "2026-03-29T23:30"}},
        Case{"the_oldest_stays_until_the_longest_rule_is_full",
             {.keep_monthly = 2, .keep_yearly = 2},
             {"2026-03-01", "2026-06-01", "2026-10-01", "2026-11-01"},
             {"2026-03-01", "2026-10-01", "2026-11-01"}},
        Case{"and_goes_then",
             {.keep_monthly = 1, .keep_yearly = 2},
             {"2025-03-01", "2025-12-01", "2026-11-01"},
             {"2025-12-01", "2026-11-01"}},
        Case{"within_counts_from_the_newest_point_not_from_now",
             {.keep_within = CalendarSpan{.days = 2}},
             {"2020-01-01", "2020-01-08T11:59", "2020-01-08T12:00", "2020-01-10T12:00"},
             {"2020-01-08T12:00", "2020-01-10T12:00"}},
        Case{"a_leap_day_and_a_month_before",
             {.keep_within = CalendarSpan{.months = 1}},
             {"2024-02-28T23:59", "2024-02-29", "2024-03-31"},
             {"2024-02-29", "2024-03-31"}},
        Case{"without_a_rule_the_newest", {}, {"2026-11-19", "2026-11-20"}, {"2026-11-20"}},
        Case{"no_points", {.keep_last = 1}, {}, {}}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(Retention, EveryReasonIsListed) {
  const Retention rules{.keep_last = 1, .keep_daily = 3, .keep_within = CalendarSpan{.days = 1}};
  const std::vector<Verdict> verdicts = apply(rules, points_at({"2026-11-19", "2026-11-20"}), k_now);
  EXPECT_THAT(verdicts[0].reasons, ElementsAre("daily", "within 1d", "oldest, until there are 3 daily"));
  EXPECT_THAT(verdicts[1].reasons, ElementsAre("last", "daily", "within 1d"));
  EXPECT_EQ(describe(rules), "1 last, 3 daily, within 1d");
}

TEST(Retention, ProtectedPointsStayAndDoNotPushOutOthers) {
  std::vector<RetentionPoint> points = points_at({"2026-11-18", "2026-11-19", "2026-11-20"});
  points[0].is_protected = true;
  EXPECT_THAT(kept({.keep_last = 2}, points), ElementsAre("2026-11-18", "2026-11-19", "2026-11-20"));
  EXPECT_THAT(apply({.keep_last = 1}, points, k_now)[0].reasons, ElementsAre("protected"));
}

// restic's users lost their points to one with a forged time.
TEST(Retention, PointsFromTheFutureStayAndCountForNothing) {
  const auto points = points_at({"2026-11-19", "2026-11-20", "2026-11-21T12:11:00Z", "2099-01-01"});
  const Retention rules{.keep_last = 1, .keep_yearly = 1, .keep_within = CalendarSpan{.hours = 1}};
  EXPECT_THAT(kept(rules, points), ElementsAre("2026-11-20", "2026-11-21T12:11:00Z", "2099-01-01"));
  EXPECT_TRUE(apply(rules, points, k_now)[3].from_the_future);
  EXPECT_FALSE(apply(rules, points, k_now)[1].from_the_future);
}

TEST(Retention, AClockALittleAheadIsNoFuture) {
  const auto points = points_at({"2026-11-20", "2026-11-21T12:09:59Z"});
  EXPECT_THAT(kept({.keep_last = 1}, points), ElementsAre("2026-11-21T12:09:59Z"));
}

// Our own clock far behind: everything seems to be of the future, and nothing goes.
TEST(Retention, OurClockInThePastRemovesNothing) {
  const auto points = points_at({"2026-11-19", "2026-11-20"});
  EXPECT_EQ(kept({.keep_last = 1}, points, base::parse_time("2020-01-01")).size(), 2U);
}

// Our own clock far ahead: no rule looks at it.
TEST(Retention, OurClockInTheFutureChangesNothing) {
  const auto points = points_at({"2026-11-18", "2026-11-19", "2026-11-20"});
  const Retention rules{.keep_daily = 1, .keep_within = CalendarSpan{.days = 1}};
  EXPECT_EQ(kept(rules, points), kept(rules, points, base::parse_time("2090-01-01")));
}

TEST(Retention, DamagedPointsDoNotCount) {
  std::vector<RetentionPoint> points = points_at({"2026-11-18", "2026-11-19", "2026-11-20T01:00", "2026-11-20T02:00"});
  points[3].whole = false;
  EXPECT_THAT(kept({.keep_last = 1}, points), ElementsAre("2026-11-20T01:00", "2026-11-20T02:00"));
  EXPECT_THAT(kept({.keep_daily = 2}, points), ElementsAre("2026-11-19", "2026-11-20T01:00", "2026-11-20T02:00"));
  EXPECT_THAT(apply({.keep_last = 1}, points, k_now)[3].reasons, ElementsAre("last (damaged: does not count)"));
}

TEST(Retention, TheLastGoodPointStaysWhateverTheRules) {
  std::vector<RetentionPoint> points = points_at({"2026-11-18", "2026-11-19", "2026-11-20"});
  points[1].whole = points[2].whole = false;
  EXPECT_THAT(kept({}, points), ElementsAre("2026-11-18"));
  points[0].whole = false;
  EXPECT_THAT(kept({}, points), ElementsAre("2026-11-20"));
  points = points_at({"2026-11-18", "2099-01-01"});
  EXPECT_THAT(kept({}, points), ElementsAre("2026-11-18", "2099-01-01"));
}

TEST(CalendarSpans, AreReadAndWritten) {
  EXPECT_EQ(format_span(parse_span("36h")), "36h");
  EXPECT_EQ(format_span(parse_span("2w")), "14d");
  EXPECT_EQ(format_span(parse_span("1y6m2d3h")), "1y6m2d3h");
  for (const char* wrong : {"", "0d", "d", "12", "3x", "-1d", "1.5d", "1d ", "99999999999d", "9999y9999y"}) {
    EXPECT_THROW(parse_span(wrong), base::Error) << wrong;
  }
}

TEST(CalendarSpans, AreCountedOnTheCalendar) {
  const auto at = [](const char* time, const char* span) {
    return base::format_time(before(base::parse_time(time), parse_span(span))).substr(0, 16);
  };
  EXPECT_EQ(at("2026-03-31T10:00", "1m"), "2026-02-28T10:00");
  EXPECT_EQ(at("2024-02-29T10:00", "1y"), "2023-02-28T10:00");
  EXPECT_EQ(at("2026-01-01T01:00", "2h"), "2025-12-31T23:00");
  EXPECT_EQ(at("2026-01-15T00:00", "13m"), "2024-12-15T00:00");
}

}  // namespace
}  // namespace icecore::policy
