// SPDX-License-Identifier: Apache-2.0
// The spans of retention.hpp: read, written, subtracted.
#include <algorithm>
#include <charconv>

#include "base/error.hpp"
#include "policy/retention.hpp"

namespace icecore::policy {

namespace {

// Of each unit: some centuries, and no overflow anywhere.
constexpr unsigned k_count_max = 10'000;

[[noreturn]] void fail_span(const std::string& text) {
  base::fail(base::Fault::usage, "'{}' is no span of time; write it like 36h, 14d, 6w, 3m (months) or 1y6m", text);
}

void add_unit(CalendarSpan& span, char unit, unsigned count, const std::string& text) {
  switch (unit) {
    case 'y': span.years += count; return;
    case 'm': span.months += count; return;
    case 'w': span.days += 7 * count; return;
    case 'd': span.days += count; return;
    case 'h': span.hours += count; return;
    default: fail_span(text);
  }
}

}  // namespace

CalendarSpan parse_span(const std::string& text) {
  CalendarSpan span;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    unsigned count = 0;
    const auto [after, error] = std::from_chars(at, end, count);
    if (error != std::errc() || after == end || count > k_count_max) fail_span(text);
    add_unit(span, *after, count, text);
    at = after + 1;
  }
  const unsigned largest = std::max({span.years, span.months, span.days / 7, span.hours / 24});
  const bool nothing = largest == 0 && span.days == 0 && span.hours == 0;
  if (nothing || largest > k_count_max) fail_span(text);
  return span;
}

std::string format_span(const CalendarSpan& span) {
  std::string text;
  const auto add = [&](unsigned count, char unit) {
    if (count > 0) text += std::to_string(count) + unit;
  };
  add(span.years, 'y');
  add(span.months, 'm');
  add(span.days, 'd');
  add(span.hours, 'h');
  return text;
}

base::Timestamp before(base::Timestamp time, const CalendarSpan& span) {
  namespace chrono = std::chrono;
  const chrono::sys_days day = chrono::floor<chrono::days>(time);
  const chrono::milliseconds time_of_day = time - day;
  chrono::year_month_day date = chrono::year_month_day(day) - chrono::years(static_cast<int>(span.years)) -
                                chrono::months(static_cast<int>(span.months));
  if (!date.ok()) date = date.year() / date.month() / chrono::last;
  return chrono::sys_days(date) + time_of_day - chrono::days(static_cast<int>(span.days)) -
         chrono::hours(static_cast<int>(span.hours));
}

}  // namespace icecore::policy
