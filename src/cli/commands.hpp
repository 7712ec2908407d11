// SPDX-License-Identifier: Apache-2.0
// All commands, one file each.
#pragma once

#include <vector>

#include "cli/command.hpp"

namespace icecore::cli {

Command make_backup_command();
Command make_copy_command();
Command make_doctor_command();
Command make_explain_command();
Command make_forget_command();
Command make_init_command();
Command make_key_add_command();
Command make_key_change_passphrase_command();
Command make_key_export_command();
Command make_key_list_command();
Command make_key_remove_command();
Command make_list_command();
Command make_policy_check_command();
Command make_protect_command();
Command make_prune_command();
Command make_recover_command();
Command make_repair_command();
Command make_restore_command();
Command make_run_command();
Command make_show_command();
Command make_unlock_command();
Command make_unprotect_command();
Command make_upload_command();
Command make_stats_command();
Command make_verify_command();
Command make_version_command();

// In the order of help: as one meets them.
std::vector<Command> all_commands();

}  // namespace icecore::cli
