// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/internal_command.hpp"

#include <cstdio>
#include <exception>
#include <string_view>

#include "base/error.hpp"
#include "hypervisor/libvirt_worker.hpp"
#include "hypervisor/thaw_watchdog.hpp"

namespace icecore::hypervisor {

std::optional<int> run_internal_command(int argc, char** argv) {
  if (argc < 2) return std::nullopt;
  const std::vector<std::string> arguments(argv + 2, argv + argc);
  try {
    if (argv[1] == std::string_view(k_watchdog_command)) return thaw_watchdog_main(arguments);
    if (argv[1] == std::string_view(k_worker_command)) return libvirt_worker_main(arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return std::nullopt;
}

}  // namespace icecore::hypervisor
