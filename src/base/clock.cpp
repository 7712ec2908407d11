// SPDX-License-Identifier: Apache-2.0
#include "base/clock.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "base/error.hpp"

namespace icecore::base {

Timestamp now() { return std::chrono::floor<Milliseconds>(std::chrono::system_clock::now()); }

std::string format_time(Timestamp time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const std::time_t unix_time = seconds.time_since_epoch().count();
  std::tm parts{};
  ::gmtime_r(&unix_time, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, (time - seconds).count());
}

namespace {

// Digits after the '.', as milliseconds; advances past them.
int parse_fraction(std::string_view& rest) {
  int value = 0;
  int scale = 100;
  for (rest.remove_prefix(1); !rest.empty() && rest[0] >= '0' && rest[0] <= '9'; rest.remove_prefix(1)) {
    value += (rest[0] - '0') * scale;
    scale /= 10;
  }
  return value;
}

}  // namespace

Timestamp parse_time(std::string_view text) {
  std::tm parts{};
  int consumed = 0;
  int milliseconds = 0;
  const std::string copy(text);
  const int fields =
      std::sscanf(copy.c_str(), "%4d-%2d-%2d%n%*1[T ]%2d:%2d%n:%2d%n", &parts.tm_year, &parts.tm_mon, &parts.tm_mday,
                  &consumed, &parts.tm_hour, &parts.tm_min, &consumed, &parts.tm_sec, &consumed);
  std::string_view rest = text.substr(static_cast<std::size_t>(consumed));
  if (fields == 6 && !rest.empty() && rest[0] == '.') milliseconds = parse_fraction(rest);
  if (fields >= 5 && rest == "Z") rest.remove_prefix(1);
  const bool in_range = parts.tm_mon >= 1 && parts.tm_mon <= 12 && parts.tm_mday >= 1 && parts.tm_mday <= 31 &&
                        parts.tm_hour <= 23 && parts.tm_min <= 59 && parts.tm_sec <= 60;
  if (fields < 3 || fields == 4 || !rest.empty() || !in_range) {
    fail(Fault::usage, "'{}' is not a time; write it like 2026-11-21T09:30:00Z", text);
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  return Timestamp(std::chrono::seconds(::timegm(&parts)) + Milliseconds(milliseconds));
}

Timestamp parse_time_end(std::string_view text) {
  const Timestamp start = parse_time(text);
  if (text.find('.') != std::string_view::npos) return start;
  const auto colons = std::count(text.begin(), text.end(), ':');
  const Milliseconds unit = colons == 2   ? Milliseconds(std::chrono::seconds(1))
                            : colons == 1 ? Milliseconds(std::chrono::minutes(1))
                                          : Milliseconds(std::chrono::days(1));
  return start + unit - Milliseconds(1);
}

}  // namespace icecore::base
