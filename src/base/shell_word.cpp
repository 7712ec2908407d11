// SPDX-License-Identifier: Apache-2.0
#include "base/shell_word.hpp"

namespace icecore::base {

namespace {

// Words of these mean themselves in every shell. A tilde does where it is not the first.
constexpr std::string_view k_plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./~-";

}  // namespace

std::string shell_word(std::string_view text) {
  const bool plain = text.find_first_not_of(k_plain) == std::string_view::npos;
  if (plain && !text.empty() && text.front() != '~') return std::string(text);
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

std::string shell_operand(std::string_view text) { return (text.starts_with('-') ? "-- " : "") + shell_word(text); }

}  // namespace icecore::base
