// SPDX-License-Identifier: Apache-2.0
// The difference of two texts as `diff -u` prints it.
#pragma once

#include <string>
#include <string_view>

namespace icecore::hypervisor {

// Empty when equal. For texts of some thousand lines: memory grows with the product of what differs.
std::string unified_diff(std::string_view old_text, std::string_view new_text, std::string_view old_name,
                         std::string_view new_name);

}  // namespace icecore::hypervisor
