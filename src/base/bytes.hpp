// SPDX-License-Identifier: Apache-2.0
// Byte buffers, hex, and little-endian encoding. ByteReader is the only way untrusted bytes are parsed:
// every read is bounds-checked and throws Fault::corrupt naming what was being read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace icecore::base {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;
using ByteSpan = std::span<std::byte>;

constexpr std::uint64_t k_kib = 1024;
constexpr std::uint64_t k_mib = 1024 * k_kib;
constexpr std::uint64_t k_gib = 1024 * k_mib;

inline ByteView as_bytes(std::string_view text) noexcept { return std::as_bytes(std::span(text.data(), text.size())); }
std::string to_string(ByteView bytes);

// Lower-case, two digits a byte.
std::string to_hex(ByteView bytes);
// Throws Fault::usage unless text is an even number of hex digits.
Bytes from_hex(std::string_view text);

// True when every byte is zero. Runs at memory speed; an empty view is zero.
bool is_zero(ByteView bytes) noexcept;

// "1.5 GiB", "312 KiB", "17 B": for people.
std::string format_size(std::uint64_t bytes);

// "500", "10K", "32M", "2G", "1T": powers of 1024. Nothing when the text is anything else.
std::optional<std::uint64_t> parse_size(std::string_view text);

class ByteWriter {
 public:
  void u8(std::uint8_t value);
  void u16(std::uint16_t value);
  void u32(std::uint32_t value);
  void u64(std::uint64_t value);
  void raw(ByteView bytes);
  std::size_t size() const noexcept { return bytes_.size(); }
  Bytes take() noexcept { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

// Reads from a view that must outlive it. `what` names the object in errors ("pack 3f2a...").
class ByteReader {
 public:
  ByteReader(ByteView bytes, std::string_view what) : bytes_(bytes), what_(what) {}
  std::uint8_t u8();
  std::uint16_t u16();
  std::uint32_t u32();
  std::uint64_t u64();
  ByteView raw(std::size_t count);
  template <std::size_t n>
  std::array<std::byte, n> array() {
    std::array<std::byte, n> out;
    const ByteView from = raw(n);
    std::copy(from.begin(), from.end(), out.begin());
    return out;
  }
  std::size_t remaining() const noexcept { return bytes_.size() - at_; }
  // Throws Fault::corrupt when bytes are left over.
  void expect_end() const;

 private:
  ByteView bytes_;
  std::string_view what_;
  std::size_t at_ = 0;
};

}  // namespace icecore::base
