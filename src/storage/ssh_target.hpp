// SPDX-License-Identifier: Apache-2.0
// One SSH server as the URL, ~/.ssh/config and the environment together name it.
#pragma once

#include "storage/sftp_url.hpp"
#include "storage/ssh_config.hpp"

namespace icecore::storage {

struct SshTarget {
  std::string url;     // for messages
  SshHostConfig host;  // complete: host_name, user, port, identity_files and known_hosts_files are set
  std::string agent;   // the ssh-agent's socket; empty: none
  bool accept_new_host_key = false;
};

// Reads ~/.ssh/config ($HOME, else the account's home folder).
SshTarget resolve_ssh_target(const SftpUrl& url, bool accept_new_host_key);

}  // namespace icecore::storage
