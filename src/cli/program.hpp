// SPDX-License-Identifier: Apache-2.0
// From the words on the command line to an exit code.
#pragma once

#include <string>
#include <vector>

#include "cli/command.hpp"

namespace icecore::cli {

// Parses, runs the command meant and tells what went wrong: one line, and one with what to try. With --json
// a failure is a record on standard output too. Throws only what is no std::exception.
ExitCode run_program(const std::vector<std::string>& arguments, std::vector<Command> commands, Console& console,
                     const Environment& environment);

// "icecore: ..." and "  try: ..." on standard error.
void print_error(Console& console, const base::Error& error);

// {"fault": ..., "message": ..., "hint": ...}
base::Json error_record(const base::Error& error);

// What --json prints instead of a command's own record when it fails.
std::vector<JsonField> failure_fields();

}  // namespace icecore::cli
