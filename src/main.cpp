// SPDX-License-Identifier: Apache-2.0
// Wires the process to the program: arguments in, exit code out. The last wall: nothing is thrown past here.
#include <cstdio>
#include <string>
#include <vector>

#include "cli/commands.hpp"
#include "cli/console.hpp"
#include "cli/program.hpp"
#include "hypervisor/internal_command.hpp"

int main(int argc, char** argv) {
  using icecore::cli::ExitCode;
  try {
    if (const auto code = icecore::hypervisor::run_internal_command(argc, argv)) return *code;
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    icecore::cli::Console console = icecore::cli::process_console();
    const ExitCode code = icecore::cli::run_program(arguments, icecore::cli::all_commands(), console,
                                                    icecore::cli::process_environment());
    return static_cast<int>(code);
  } catch (...) {
    std::fputs("icecore: an unknown failure\n", stderr);
    return static_cast<int>(ExitCode::failure);
  }
}
