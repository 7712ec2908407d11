// SPDX-License-Identifier: Apache-2.0
// What an object is called until it is whole: its name, a mark, and random hexadecimal digits.
#pragma once

#include <string>
#include <string_view>

#include "base/id.hpp"

namespace icecore::storage {

constexpr std::string_view k_temporary_mark = ".tmp-";

inline std::string new_temporary(const std::string& path) {
  constexpr std::size_t k_random_bytes = 8;
  return path + std::string(k_temporary_mark) + base::random_id(k_random_bytes);
}

inline bool is_temporary(std::string_view name) noexcept {
  const std::size_t mark = name.rfind(k_temporary_mark);
  return mark != std::string_view::npos &&
         name.find_first_not_of("0123456789abcdef", mark + k_temporary_mark.size()) == std::string_view::npos;
}

}  // namespace icecore::storage
