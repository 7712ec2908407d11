// SPDX-License-Identifier: Apache-2.0
// A key as people type it from paper: four numbered lines of eight bytes, in groups, each with a checksum of its
// own, so that a slip is found on its line. Written in FORMAT.md, "Key slot".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "repository/secret.hpp"

namespace icecore::repository {

// "1: 3f2a 91c0 77aa 0b1c - 5d2e" and three more, each ending in a break. The caller wipes it.
std::string format_key_lines(const Secret& key);

// The key in the lines of `text` that begin with a digit and a colon; all others are left alone, so that the whole
// sheet may be in the file. Case and spaces do not matter, O is read as 0, I and l as 1. Nothing when there is no such
// line; Fault::usage names the line that is wrong, missing or there twice, never its digits.
std::optional<Secret> parse_key_lines(std::string_view text);

}  // namespace icecore::repository
