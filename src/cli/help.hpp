// SPDX-License-Identifier: Apache-2.0
// Help texts, made from the commands themselves.
#pragma once

#include <string>
#include <vector>

#include "cli/command.hpp"

namespace icecore::cli {

// `icecore --help`.
std::string program_help(const std::vector<Command>& commands, const WordList& common);

// `icecore COMMAND --help`.
std::string command_help(const Command& command, const WordList& common);

// "  0  done" lines: as help and README have them.
std::string exit_code_table();

}  // namespace icecore::cli
