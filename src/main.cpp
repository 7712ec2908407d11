// SPDX-License-Identifier: Apache-2.0
// Wires the process to the program: arguments in, exit code out. The last wall: nothing is thrown past here.
#include <malloc.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "base/process.hpp"
#include "cli/commands.hpp"
#include "cli/console.hpp"
#include "cli/program.hpp"
#include "hypervisor/internal_command.hpp"

namespace {

constexpr int k_mapped_bytes = 1024 * 1024;  // of memory that goes back to the system as soon as it is freed

// What was printed may still be in a buffer, and a full disk shows only now. Who closed the pipe (`| head`) knows.
bool written_out() {
  std::cout.flush();
  if (std::cout || errno == EPIPE) return true;
  std::fprintf(stderr, "icecore: cannot write the output: %s\n", std::strerror(errno));
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  using icecore::cli::ExitCode;
  std::signal(SIGPIPE, SIG_IGN);  // a libvirtd or server that dies is an error of the call, not our death
  icecore::base::keep_memory_private();
  // Else glibc raises it to the largest block ever freed, and each thread keeps the packs it once held.
  ::mallopt(M_MMAP_THRESHOLD, k_mapped_bytes);
  try {
    if (const auto code = icecore::hypervisor::run_internal_command(argc, argv)) return *code;
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    icecore::cli::Console console = icecore::cli::process_console();
    const ExitCode code = icecore::cli::run_program(arguments, icecore::cli::all_commands(), console,
                                                    icecore::cli::process_environment());
    return static_cast<int>(code != ExitCode::ok || written_out() ? code : ExitCode::failure);
  } catch (...) {
    std::fputs("icecore: an unknown failure\n", stderr);
    return static_cast<int>(ExitCode::failure);
  }
}
