// SPDX-License-Identifier: Apache-2.0
#include "repository/key_lines.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "repository/key_ring.hpp"

namespace icecore::repository {

namespace {

constexpr std::size_t k_lines = 4;
constexpr std::size_t k_line_bytes = k_key_bytes / k_lines;
constexpr std::size_t k_check_bytes = 2;
constexpr std::size_t k_line_digits = 2 * (k_line_bytes + k_check_bytes);
constexpr std::size_t k_group_digits = 4;
constexpr std::string_view k_check_domain = "icecore key line ";

// Holds the number too: exchanged lines are found.
base::Bytes check_of(std::size_t number, base::ByteView bytes) {
  const std::string start = std::string(k_check_domain) + std::to_string(number);
  const std::array<base::ByteView, 2> parts = {base::as_bytes(start), bytes};
  const Digest digest = digest_of(parts);
  return {digest.begin(), digest.begin() + k_check_bytes};
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

struct Line {
  std::size_t number;
  std::string_view digits;
};

// A line that is one of the key's: "3:" and the rest.
std::optional<Line> split(std::string_view line) {
  while (!line.empty() && is_space(line.front())) line.remove_prefix(1);
  if (line.size() < 2 || line[0] < '1' || line[0] > static_cast<char>('0' + k_lines) || line[1] != ':') return {};
  return Line{static_cast<std::size_t>(line[0] - '0'), line.substr(2)};
}

// The value of a digit as typed, or -1.
int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c == 'o' || c == 'O') return 0;
  return c == 'l' || c == 'I' || c == 'i' ? 1 : -1;
}

// The bytes of a line and of its checksum.
Secret read_digits(const Line& line) {
  Secret bytes(k_line_bytes + k_check_bytes);
  std::size_t count = 0;
  for (const char c : line.digits) {
    if (is_space(c) || c == '-') continue;
    const int value = digit_value(c);
    if (value < 0) base::fail(base::Fault::usage, "line {} of the key holds what is no hex digit", line.number);
    if (count < k_line_digits) {
      std::byte& byte = bytes.span()[count / 2];
      byte = count % 2 == 0 ? static_cast<std::byte>(value << 4) : byte | static_cast<std::byte>(value);
    }
    ++count;
  }
  if (count == k_line_digits) return bytes;
  base::fail(base::Fault::usage, "line {} of the key has {} digits instead of {}", line.number, count, k_line_digits);
}

void take_line(const Line& line, base::ByteSpan key) {
  const Secret bytes = read_digits(line);
  const base::ByteView part = bytes.view().first(k_line_bytes);
  const base::Bytes check = check_of(line.number, part);
  if (!std::equal(check.begin(), check.end(), bytes.view().begin() + k_line_bytes)) {
    base::fail(base::Fault::usage, "line {} of the key has a typing error: its checksum does not fit", line.number);
  }
  std::copy(part.begin(), part.end(), key.begin() + static_cast<std::ptrdiff_t>((line.number - 1) * k_line_bytes));
}

}  // namespace

std::string format_key_lines(const Secret& key) {
  std::string text;
  text.reserve(256);  // no copies left behind by growing
  for (std::size_t number = 1; number <= k_lines; ++number) {
    const base::ByteView part = key.view().subspan((number - 1) * k_line_bytes, k_line_bytes);
    std::string digits = base::to_hex(part);
    text += std::to_string(number) + ":";
    for (std::size_t at = 0; at < digits.size(); at += k_group_digits) text += " " + digits.substr(at, k_group_digits);
    wipe(std::as_writable_bytes(std::span(digits)));
    text += " - " + base::to_hex(check_of(number, part)) + "\n";
  }
  return text;
}

std::optional<Secret> parse_key_lines(std::string_view text) {
  Secret key(k_key_bytes);
  std::array<bool, k_lines> seen{};
  while (!text.empty()) {
    const std::string_view whole = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(whole.size() + 1, text.size()));
    const std::optional<Line> line = split(whole);
    if (!line) continue;
    if (std::exchange(seen[line->number - 1], true)) {
      base::fail(base::Fault::usage, "line {} of the key is there twice", line->number);
    }
    take_line(*line, key.span());
  }
  if (std::none_of(seen.begin(), seen.end(), [](bool one) { return one; })) return std::nullopt;
  const auto missing = std::find(seen.begin(), seen.end(), false);
  if (missing == seen.end()) return key;
  base::fail(base::Fault::usage, "line {} of the key is missing", missing - seen.begin() + 1);
}

}  // namespace icecore::repository
