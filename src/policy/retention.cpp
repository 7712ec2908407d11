// SPDX-License-Identifier: Apache-2.0
#include "policy/retention.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

namespace icecore::policy {

namespace {

using base::Timestamp;

// Names the hour, day, ... a moment lies in; equal for moments of the same one.
using Period = std::int64_t (*)(Timestamp);

std::int64_t each_point(Timestamp) { return 0; }  // never compared: see Rule::counts_points
std::int64_t hour_of(Timestamp time) { return std::chrono::floor<std::chrono::hours>(time).time_since_epoch().count(); }
std::int64_t day_of(Timestamp time) { return std::chrono::floor<std::chrono::days>(time).time_since_epoch().count(); }
// 1970-01-01 was a Thursday: three days behind a Monday. Whole weeks have no trouble at the year's end.
std::int64_t week_of(Timestamp time) {
  return std::chrono::floor<std::chrono::weeks>(time + std::chrono::days(3)).time_since_epoch().count();
}
std::chrono::year_month_day date_of(Timestamp time) { return {std::chrono::floor<std::chrono::days>(time)}; }
std::int64_t year_of(Timestamp time) { return static_cast<int>(date_of(time).year()); }
std::int64_t month_of(Timestamp time) { return year_of(time) * 12 + static_cast<unsigned>(date_of(time).month()); }

struct Rule {
  std::string_view name;
  unsigned Retention::*count;
  Period period;
  bool counts_points = false;
};

constexpr std::array<Rule, 6> k_rules = {{{"last", &Retention::keep_last, each_point, true},
                                          {"hourly", &Retention::keep_hourly, hour_of},
                                          {"daily", &Retention::keep_daily, day_of},
                                          {"weekly", &Retention::keep_weekly, week_of},
                                          {"monthly", &Retention::keep_monthly, month_of},
                                          {"yearly", &Retention::keep_yearly, year_of}}};

// The points of one domain from newest to oldest, as positions in the caller's list.
struct Domain {
  const std::vector<RetentionPoint>& points;
  std::vector<std::size_t> newest_first;  // without those from the future
  std::vector<Verdict> verdicts;

  const RetentionPoint& at(std::size_t position) const { return points[position]; }
  void keep(std::size_t position, const std::string& reason) {
    verdicts[position].reasons.push_back(at(position).whole ? reason : reason + " (damaged: does not count)");
  }
};

Domain sort_points(const std::vector<RetentionPoint>& points, Timestamp now) {
  Domain domain{points, {}, std::vector<Verdict>(points.size())};
  for (std::size_t i = 0; i < points.size(); ++i) {
    const bool future = points[i].time > now + k_clock_tolerance;
    domain.verdicts[i].from_the_future = future;
    if (future) domain.verdicts[i].reasons.push_back("later than now");
    if (!future) domain.newest_first.push_back(i);
  }
  std::sort(domain.newest_first.begin(), domain.newest_first.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(points[a].time, points[a].id) > std::pair(points[b].time, points[b].id);
  });
  return domain;
}

// How many the rule still had to keep when the points ran out.
unsigned apply_rule(const Rule& rule, unsigned count, Domain& domain) {
  std::optional<std::int64_t> period;
  for (const std::size_t position : domain.newest_first) {
    const std::int64_t own = rule.period(domain.at(position).time);
    if (!rule.counts_points && period == own) continue;
    if (count == 0) break;
    domain.keep(position, std::string(rule.name));
    if (!domain.at(position).whole) continue;
    period = own;
    --count;
  }
  return count;
}

void apply_within(const CalendarSpan& span, Domain& domain) {
  if (domain.newest_first.empty()) return;
  const Timestamp since = before(domain.at(domain.newest_first.front()).time, span);
  for (const std::size_t position : domain.newest_first) {
    if (domain.at(position).time >= since) domain.keep(position, "within " + format_span(span));
  }
}

// While the longest rule has not met as many periods as it may keep, its oldest point stays. Else "3 monthly and 2
// yearly" would forget the first year's points one by one, and there would be no second year for a long time.
void keep_oldest(const Rule& rule, unsigned count, Domain& domain) {
  for (auto at = domain.newest_first.rbegin(); at != domain.newest_first.rend(); ++at) {
    if (!domain.at(*at).whole) continue;
    domain.keep(*at, fmt::format("oldest, until there are {} {}", count, rule.name));
    return;
  }
}

void apply_rules(const Retention& retention, Domain& domain) {
  const Rule* longest = nullptr;
  unsigned longest_left = 0;
  for (const Rule& rule : k_rules) {
    const unsigned count = retention.*rule.count;
    if (count == 0) continue;
    const unsigned left = apply_rule(rule, count, domain);
    if (!rule.counts_points) longest = &rule, longest_left = left;
  }
  if (retention.keep_within) apply_within(*retention.keep_within, domain);
  if (longest != nullptr && longest_left > 0) keep_oldest(*longest, retention.*longest->count, domain);
}

void keep_last_good(Domain& domain) {
  const auto whole = [&](std::size_t position) { return domain.at(position).whole; };
  const auto end = domain.newest_first.end();
  const auto newest = std::find_if(domain.newest_first.begin(), end, whole);
  if (newest != end) {
    if (!domain.verdicts[*newest].keep()) domain.keep(*newest, "newest whole point of the domain");
  } else if (!domain.newest_first.empty() && !domain.verdicts[domain.newest_first.front()].keep()) {
    domain.verdicts[domain.newest_first.front()].reasons.push_back("newest of the domain, which has no whole point");
  }
}

}  // namespace

bool any_rule(const Retention& retention) {
  return retention.keep_within ||
         std::any_of(k_rules.begin(), k_rules.end(), [&](const Rule& rule) { return retention.*rule.count > 0; });
}

std::string describe(const Retention& retention) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  for (const Rule& rule : k_rules) {
    if (retention.*rule.count > 0) add(fmt::format("{} {}", retention.*rule.count, rule.name));
  }
  if (retention.keep_within) add("within " + format_span(*retention.keep_within));
  return text;
}

std::vector<Verdict> apply(const Retention& retention, const std::vector<RetentionPoint>& points, Timestamp now) {
  Domain domain = sort_points(points, now);
  apply_rules(retention, domain);
  keep_last_good(domain);
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (points[i].is_protected) domain.verdicts[i].reasons.push_back("protected");
  }
  return std::move(domain.verdicts);
}

}  // namespace icecore::policy
