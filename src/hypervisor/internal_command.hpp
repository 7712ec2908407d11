// SPDX-License-Identifier: Apache-2.0
// The program as its own helper: some libvirt calls must run in another process, because they may have to be killed
// (a snapshot that hangs) or must outlive us (the thaw watchdog). Those processes are this same program again.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace icecore::hypervisor {

inline constexpr const char* k_watchdog_command = "--internal-thaw-watchdog";
inline constexpr const char* k_worker_command = "--internal-libvirt-worker";

// How to start a program whose main() begins with run_internal_command().
struct HelperProgram {
  std::vector<std::string> command = {"/proc/self/exe"};
};

// main() calls this before anything else: when the first argument is one of the commands above it is carried out and
// its exit code returned; otherwise nothing happens.
std::optional<int> run_internal_command(int argc, char** argv);

}  // namespace icecore::hypervisor
