// SPDX-License-Identifier: Apache-2.0
// Asks for a passphrase on the terminal without showing it.
#pragma once

#include <stop_token>
#include <string>

#include "repository/secret.hpp"

namespace icecore::cli {

// Reads one line from /dev/tty with echo off; the terminal is as before however this ends. Fault::unavailable
// when there is no terminal, Fault::cancelled on Ctrl-C or stop, Fault::usage for an empty line.
// `instead` is what to do without a terminal.
repository::Secret prompt_passphrase(
    const std::string& question, const std::stop_token& stop,
    const std::string& instead = "--key-file FILE, or set ICECORE_PASSPHRASE_FILE or ICECORE_PASSPHRASE_COMMAND");

// Asks twice. Fault::usage when the two differ.
repository::Secret prompt_new_passphrase(const std::stop_token& stop, const std::string& instead);

}  // namespace icecore::cli
