// SPDX-License-Identifier: Apache-2.0
// What ~/.ssh/config says about one host: the part of ssh_config(5) a backup needs. As in OpenSSH the first value
// wins, and IdentityFile adds up. Include is not read and a Match block other than "Match all" is skipped.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace icecore::storage {

struct SshHostConfig {
  std::string host_name;
  std::string user;
  std::optional<int> port;
  std::vector<std::filesystem::path> identity_files;
  std::vector<std::filesystem::path> known_hosts_files;  // "none" is /dev/null
  std::optional<std::string> identity_agent;             // a socket, "none", or "SSH_AUTH_SOCK"
  bool identities_only = false;
  std::string ciphers;  // comma-separated
};

// `home` stands for "~". Throws Fault::usage, naming the line, for what is no value, and for ProxyJump and
// ProxyCommand, which would lead elsewhere.
SshHostConfig parse_ssh_config(std::string_view text, const std::string& host, const std::filesystem::path& home);

// Patterns as in ssh_config(5) and known_hosts: '*', '?', and '!' before one that must not match.
bool matches_pattern_list(const std::vector<std::string>& patterns, const std::string& name);

}  // namespace icecore::storage
