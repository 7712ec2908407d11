// SPDX-License-Identifier: Apache-2.0
#include "base/printable.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace icecore::base {

namespace {

bool is_plain(char c) { return (c >= ' ' && c <= '~') || c == '\n' || c == '\t'; }

struct Letter {
  std::size_t bytes = 1;
  char32_t code = 0;  // 0: no UTF-8
};

// The letter that begins with the first byte, which is not plain.
Letter decode(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  if (byte(0) < 0x80) return {1, byte(0)};
  const std::size_t bytes = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || bytes > text.size()) return {};
  char32_t code = byte(0) & (0xffU >> (bytes + 1));
  for (std::size_t at = 1; at < bytes; ++at) {
    if ((byte(at) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(at) & 0x3fU);
  }
  constexpr char32_t k_least[] = {0, 0, 0x80, 0x800, 0x10000};
  return code < k_least[bytes] ? Letter{} : Letter{bytes, code};
}

bool is_obeyed(char32_t code) {
  return code < 0xa0 || (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto end = std::find_if_not(text.begin(), text.end(), is_plain);
    out.append(text.begin(), end);
    text.remove_prefix(static_cast<std::size_t>(end - text.begin()));
    if (text.empty()) break;
    const Letter letter = decode(text);
    if (letter.code == 0 && text.front() != '\0') {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
    } else if (is_obeyed(letter.code)) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(letter.code));
    } else {
      out += text.substr(0, letter.bytes);
    }
    text.remove_prefix(letter.bytes);
  }
  return out;
}

}  // namespace icecore::base
