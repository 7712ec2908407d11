// SPDX-License-Identifier: Apache-2.0
// Which restore points of a domain to keep. A pure function of rules, points and time: nothing is read or
// deleted here.
//
// Days, weeks (from Monday) and so on are those of UTC, as `icecore list` prints them: hosts in different time zones
// agree on what to keep, and no day has 23 or 25 hours. (restic, borg and Proxmox take the local time of whoever runs
// them.) Each rule counts for itself, as restic's do: a point may be kept by several.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"

namespace icecore::policy {

// A span in units of the calendar: "36h", "14d", "6w", "3m" (months), "1y", or several: "1y6m".
struct CalendarSpan {
  unsigned years = 0;
  unsigned months = 0;
  unsigned days = 0;
  unsigned hours = 0;
};

// Fault::usage when it is no such text, or nothing in it is above zero.
CalendarSpan parse_span(const std::string& text);
std::string format_span(const CalendarSpan& span);
// `time` that long ago. A day a month does not have becomes its last.
base::Timestamp before(base::Timestamp time, const CalendarSpan& span);

// How many points to keep, of the newest of each hour, day, ...; nothing set: no rule.
struct Retention {
  unsigned keep_last = 0;
  unsigned keep_hourly = 0;
  unsigned keep_daily = 0;
  unsigned keep_weekly = 0;
  unsigned keep_monthly = 0;
  unsigned keep_yearly = 0;
  // All not older than this, counted from the domain's newest point: a domain that is no longer backed up does
  // not lose its last points to the passing of time.
  std::optional<CalendarSpan> keep_within;
};

// Whether it has any rule.
bool any_rule(const Retention& retention);
// "3 last, 7 daily, within 14d"
std::string describe(const Retention& retention);

// A point later than now by more than this was made by a clock that is wrong, or is forged.
constexpr std::chrono::minutes k_clock_tolerance{10};

struct RetentionPoint {
  std::string id;
  base::Timestamp time{};
  bool whole = true;  // false: known to have lost blocks
  bool is_protected = false;
};

struct Verdict {
  std::vector<std::string> reasons;  // why it is kept; empty: forget it
  bool from_the_future = false;      // kept, and takes part in no rule
  bool keep() const noexcept { return !reasons.empty(); }
};

// One verdict for each point of ONE domain, in their order (any). Whatever the rules, these are kept: protected
// points; the newest whole one (without any, the newest); points from the future, which count for nothing, so that they
// push out no real one. A point that is not whole is kept where a whole one would be, and does not count either.
std::vector<Verdict> apply(const Retention& retention, const std::vector<RetentionPoint>& points, base::Timestamp now);

}  // namespace icecore::policy
