// SPDX-License-Identifier: Apache-2.0
// What icecore is to the hypervisor room: a program whose main() begins with run_internal_command(). Besides,
// "freeze URI UUID" freezes a guest, says so and waits to be killed.
#include <unistd.h>

#include <cstdio>
#include <string_view>

#include "hypervisor/freeze.hpp"
#include "hypervisor/internal_command.hpp"

namespace hypervisor = icecore::hypervisor;

int main(int argc, char** argv) {
  if (const auto exit_code = hypervisor::run_internal_command(argc, argv)) return *exit_code;
  if (argc != 4 || argv[1] != std::string_view("freeze")) return 2;
  hypervisor::Connection connection(argv[2]);
  hypervisor::Domain domain = connection.domain(argv[3]);
  hypervisor::Freeze freeze(domain);
  std::printf("%s\n", std::string(to_string(freeze.freeze().state)).c_str());
  std::fflush(stdout);
  ::sleep(300);
  return 0;
}
