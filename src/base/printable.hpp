// SPDX-License-Identifier: Apache-2.0
// Texts of others (domains, servers, objects, guests) on their way to a terminal or a log.
#pragma once

#include <string>
#include <string_view>

namespace icecore::base {

// The text without what a terminal would obey: control characters other than line ends and tabs, and those that turn
// the direction of writing, become "\u001b"; bytes that are no UTF-8 become "\x9b". JSON stays JSON.
std::string printable(std::string_view text);

}  // namespace icecore::base
