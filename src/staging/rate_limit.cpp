// SPDX-License-Identifier: Apache-2.0
#include "staging/rate_limit.hpp"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <string>

#include "base/bytes.hpp"
#include "base/error.hpp"

namespace icecore::staging {

namespace {

constexpr int k_minutes_a_day = 24 * 60;
// At most so long between two looks at the time of day.
constexpr base::Milliseconds k_tick{500};
constexpr base::Milliseconds k_tick_min{1};

[[noreturn]] void refuse(std::string_view text) {
  throw base::Error(base::Fault::usage, fmt::format("'{}' is no upload limit", text))
      .add_hint("--limit-upload 10M or --limit-upload 10M,08:00-18:00=2M (bytes a second)");
}

Rate parse_rate(std::string_view text, std::string_view whole) {
  if (text == "max") return std::nullopt;
  const std::optional<std::uint64_t> rate = base::parse_size(text);
  if (!rate) refuse(whole);
  return rate;
}

int parse_minute(std::string_view text, std::string_view whole) {
  const auto number = [&](std::string_view digits) {
    int value = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size()) refuse(whole);
    return value;
  };
  if (text.size() != 5 || text[2] != ':') refuse(whole);
  const int hour = number(text.substr(0, 2));
  const int minute = number(text.substr(3));
  if (hour < 0 || minute < 0 || minute > 59 || hour * 60 + minute > k_minutes_a_day) refuse(whole);
  return (hour * 60 + minute) % k_minutes_a_day;
}

RateWindow parse_window(std::string_view text, std::size_t equals, std::string_view whole) {
  const std::string_view hours = text.substr(0, equals);
  const std::size_t dash = hours.find('-');
  if (dash == std::string_view::npos) refuse(whole);
  return {parse_minute(hours.substr(0, dash), whole), parse_minute(hours.substr(dash + 1), whole),
          parse_rate(text.substr(equals + 1), whole)};
}

bool is_within(const RateWindow& window, int minute) {
  if (window.from_minute < window.to_minute) return minute >= window.from_minute && minute < window.to_minute;
  return minute >= window.from_minute || minute < window.to_minute;
}

}  // namespace

UploadLimit parse_upload_limit(std::string_view text) {
  UploadLimit limit;
  std::string_view rest = text;
  for (bool first = true; first || !rest.empty(); first = false) {
    const std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(item.size() + 1, rest.size()));
    const std::size_t equals = item.find('=');
    if (equals != std::string_view::npos) {
      limit.windows.push_back(parse_window(item, equals, text));
    } else if (first) {
      limit.rate = parse_rate(item, text);
    } else {
      refuse(text);
    }
  }
  if (limit.rate == Rate(0)) refuse(text);  // never, all day: that is no limit but a mistake
  return limit;
}

Rate rate_at(const UploadLimit& limit, int minute_of_day) {
  for (const RateWindow& window : limit.windows) {
    if (is_within(window, minute_of_day)) return window.rate;
  }
  return limit.rate;
}

int minute_of_day_now() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  return local.tm_hour * 60 + local.tm_min;
}

RateLimiter::RateLimiter(UploadLimit limit, std::function<int()> minute_of_day)
    : limit_(std::move(limit)), minute_of_day_(std::move(minute_of_day)) {}

void RateLimiter::pay(std::uint64_t bytes, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const Rate rate = rate_at(limit_, minute_of_day_());
    const double seconds = std::chrono::duration<double>(since_tick_.elapsed()).count();
    if (!rate || seconds > 0) since_tick_ = {};
    owed_ = rate ? std::max(0.0, owed_ - seconds * static_cast<double>(*rate)) : 0.0;
    if (owed_ <= 0 && rate != Rate(0)) break;
    const double left_ms = rate == Rate(0) ? 1e9 : owed_ / static_cast<double>(*rate) * 1000;
    const auto wait = base::Milliseconds(static_cast<std::int64_t>(std::min(left_ms, 1e6)));
    wake_.wait_for(lock, stop, std::clamp(wait, k_tick_min, k_tick), [] { return false; });
  }
  owed_ += static_cast<double>(bytes);
}

}  // namespace icecore::staging
