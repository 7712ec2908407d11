// SPDX-License-Identifier: Apache-2.0
#include "storage/ssh_target.hpp"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "base/durable_file.hpp"
#include "base/error.hpp"

namespace icecore::storage {

namespace {

namespace fs = std::filesystem;

constexpr int k_default_port = 22;

struct Account {
  std::string name;
  fs::path home;
};

Account own_account() {
  Account account;
  std::array<char, 4096> memory{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(::geteuid(), &entry, memory.data(), memory.size(), &found) == 0 && found != nullptr) {
    account = {found->pw_name, found->pw_dir};
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') account.home = home;
  return account;
}

std::string agent_socket(const SshHostConfig& host) {
  const std::string named = host.identity_agent.value_or("SSH_AUTH_SOCK");
  if (named == "none") return {};
  if (named != "SSH_AUTH_SOCK") return named;
  const char* socket = std::getenv("SSH_AUTH_SOCK");
  return socket != nullptr ? socket : "";
}

}  // namespace

SshTarget resolve_ssh_target(const SftpUrl& url, bool accept_new_host_key) {
  const Account account = own_account();
  const fs::path folder = account.home / ".ssh";
  std::error_code missing;
  std::string text;
  if (fs::is_regular_file(folder / "config", missing)) text = base::to_string(base::read_file(folder / "config"));
  SshTarget target{url.text, parse_ssh_config(text, url.host, account.home), {}, accept_new_host_key};
  SshHostConfig& host = target.host;
  if (!url.user.empty()) host.user = url.user;
  if (host.user.empty()) host.user = account.name;
  if (url.port) host.port = url.port;
  if (!host.port) host.port = k_default_port;
  if (host.identity_files.empty()) {
    for (const char* name : {"id_ed25519", "id_ecdsa", "id_rsa"}) host.identity_files.push_back(folder / name);
  }
  if (host.known_hosts_files.empty()) host.known_hosts_files.push_back(folder / "known_hosts");
  target.agent = agent_socket(host);
  return target;
}

}  // namespace icecore::storage
