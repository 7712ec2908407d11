// SPDX-License-Identifier: Apache-2.0
// What unlocks a repository, from the places a user may have put it. The first that is set counts:
// --key-file or ICECORE_KEY_FILE, ICECORE_PASSPHRASE_FILE, ICECORE_PASSPHRASE_COMMAND, the terminal.
#pragma once

#include <filesystem>
#include <functional>
#include <stop_token>

#include "cli/environment.hpp"
#include "repository/key_file.hpp"

namespace icecore::cli {

struct CredentialSources {
  std::filesystem::path key_file;         // empty: none
  std::filesystem::path passphrase_file;  // empty: none, look into the environment
  Environment environment;
  std::function<repository::Secret()> ask;  // the terminal
};

// Whether something other than the terminal names a credential.
bool names_credential(const CredentialSources& sources);

// Faults are those of reading what was named; a command that fails is Fault::denied.
repository::Credential find_credential(const CredentialSources& sources, const std::stop_token& stop);

}  // namespace icecore::cli
