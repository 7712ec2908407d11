// SPDX-License-Identifier: Apache-2.0
// What our bitmaps are called in the images: one for each repository and run, so that two repositories of one domain
// never take each other's.
#pragma once

#include <optional>
#include <regex>
#include <string>

namespace icecore::job {

// How all of ours begin.
inline constexpr const char* k_bitmap_prefix = "icecore-";

// icecore-<repository id's first 16 digits>-
inline std::string bitmap_prefix_of(const std::string& repository_id) {
  constexpr std::size_t k_digits = 16;
  return k_bitmap_prefix + repository_id.substr(0, k_digits) + "-";
}

// The two halves of such a name.
struct BitmapName {
  std::string repository;  // the first 16 digits of its id
  std::string point;       // id
};
// Nothing: it is none of ours.
inline std::optional<BitmapName> parse_bitmap_name(const std::string& bitmap) {
  static const std::regex k_form(std::string(k_bitmap_prefix) + "([0-9a-f]{16})-([0-9a-f]{32})");
  std::smatch parts;
  if (!std::regex_match(bitmap, parts, k_form)) return std::nullopt;
  return BitmapName{parts[1], parts[2]};
}

// The bitmap that marks what is written since that point of the repository.
inline std::string bitmap_name(const std::string& repository_id, const std::string& point_id) {
  return bitmap_prefix_of(repository_id) + point_id;
}

}  // namespace icecore::job
