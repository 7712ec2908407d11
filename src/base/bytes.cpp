// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.hpp"

#include <charconv>

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "base/error.hpp"

namespace icecore::base {

namespace {

template <typename T>
void put_little_endian(Bytes& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) out.push_back(static_cast<std::byte>((value >> (8 * i)) & 0xff));
}

template <typename T>
T get_little_endian(ByteView bytes) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value = static_cast<T>(value | static_cast<T>(static_cast<T>(std::to_integer<std::uint8_t>(bytes[i])) << (8 * i)));
  }
  return value;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  fail(Fault::usage, "'{}' is not a hex digit", c);
}

}  // namespace

std::string to_string(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::string to_hex(ByteView bytes) {
  static constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte b : bytes) {
    text += digits[std::to_integer<unsigned>(b) >> 4];
    text += digits[std::to_integer<unsigned>(b) & 15];
  }
  return text;
}

Bytes from_hex(std::string_view text) {
  if (text.size() % 2 != 0) fail(Fault::usage, "'{}' has an odd number of hex digits", text);
  Bytes bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(hex_digit(text[i]) * 16 + hex_digit(text[i + 1])));
  }
  return bytes;
}

// The first bytes decide for nearly all data; the rest is memcmp against itself shifted by 16, which
// libc does with vector loads.
bool is_zero(ByteView bytes) noexcept {
  constexpr std::size_t k_head = 16;
  const std::size_t head = std::min(bytes.size(), k_head);
  for (std::size_t i = 0; i < head; ++i) {
    if (bytes[i] != std::byte{0}) return false;
  }
  return bytes.size() <= k_head || std::memcmp(bytes.data(), bytes.data() + k_head, bytes.size() - k_head) == 0;
}

std::string format_size(std::uint64_t bytes) {
  static constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  constexpr std::string_view k_units = "KMGT";
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  if (error != std::errc() || unit.size() > 1) return std::nullopt;
  const std::size_t power = unit.empty() ? 0 : k_units.find(unit[0]);
  if (power == std::string_view::npos) return std::nullopt;
  const unsigned shift = unit.empty() ? 0 : 10 * static_cast<unsigned>(power + 1);
  if (number > (UINT64_MAX >> shift)) return std::nullopt;
  return number << shift;
}

void ByteWriter::u8(std::uint8_t value) { put_little_endian(bytes_, value); }
void ByteWriter::u16(std::uint16_t value) { put_little_endian(bytes_, value); }
void ByteWriter::u32(std::uint32_t value) { put_little_endian(bytes_, value); }
void ByteWriter::u64(std::uint64_t value) { put_little_endian(bytes_, value); }
void ByteWriter::raw(ByteView bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }

std::uint8_t ByteReader::u8() { return get_little_endian<std::uint8_t>(raw(1)); }
std::uint16_t ByteReader::u16() { return get_little_endian<std::uint16_t>(raw(2)); }
std::uint32_t ByteReader::u32() { return get_little_endian<std::uint32_t>(raw(4)); }
std::uint64_t ByteReader::u64() { return get_little_endian<std::uint64_t>(raw(8)); }

ByteView ByteReader::raw(std::size_t count) {
  if (count > remaining()) {
    fail(Fault::corrupt, "{} ends after {} bytes where {} more are needed", what_, bytes_.size(), count - remaining());
  }
  const ByteView view = bytes_.subspan(at_, count);
  at_ += count;
  return view;
}

void ByteReader::expect_end() const {
  if (remaining() != 0) fail(Fault::corrupt, "{} has {} bytes too many", what_, remaining());
}

}  // namespace icecore::base
