// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.hpp"

namespace icecore::cli {

std::vector<Command> all_commands() {
  std::vector<Command> commands;
  commands.push_back(make_init_command());
  commands.push_back(make_policy_check_command());
  commands.push_back(make_list_command());
  commands.push_back(make_version_command());
  return commands;
}

}  // namespace icecore::cli
