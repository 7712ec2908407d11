// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.hpp"

namespace icecore::cli {

std::vector<Command> all_commands() {
  std::vector<Command> commands;
  commands.push_back(make_init_command());
  commands.push_back(make_backup_command());
  commands.push_back(make_explain_command());
  commands.push_back(make_run_command());
  commands.push_back(make_policy_check_command());
  commands.push_back(make_list_command());
  commands.push_back(make_show_command());
  commands.push_back(make_restore_command());
  commands.push_back(make_protect_command());
  commands.push_back(make_unprotect_command());
  commands.push_back(make_forget_command());
  commands.push_back(make_upload_command());
  commands.push_back(make_prune_command());
  commands.push_back(make_verify_command());
  commands.push_back(make_repair_command());
  commands.push_back(make_stats_command());
  commands.push_back(make_copy_command());
  commands.push_back(make_key_list_command());
  commands.push_back(make_key_add_command());
  commands.push_back(make_key_change_passphrase_command());
  commands.push_back(make_key_remove_command());
  commands.push_back(make_key_export_command());
  commands.push_back(make_recover_command());
  commands.push_back(make_unlock_command());
  commands.push_back(make_doctor_command());
  commands.push_back(make_version_command());
  return commands;
}

}  // namespace icecore::cli
