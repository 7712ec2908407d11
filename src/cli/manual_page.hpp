// SPDX-License-Identifier: Apache-2.0
// The manual page icecore(1), made from the same values as help: what one says the other says.
#pragma once

#include <string>
#include <vector>

#include "cli/command.hpp"

namespace icecore::cli {

// The first argument that makes the program print its manual page; the build calls it, users need not.
inline constexpr const char* k_manual_page_command = "--internal-manual-page";

// In roff's man(7) macros.
std::string manual_page(const std::vector<Command>& commands, const WordList& common);

}  // namespace icecore::cli
