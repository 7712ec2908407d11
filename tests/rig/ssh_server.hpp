// SPDX-License-Identifier: Apache-2.0
// A real sshd on a free port of 127.0.0.1 with its own host key, configuration, and a folder it serves; and the home
// of a user who may log in: home()/.ssh holds key, known_hosts and nothing else. Needs "root", "program:sshd" and
// "program:ssh-keygen". All of it is gone with the object, or with the test however it ends.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "base/process.hpp"
#include "rig/icecore_run.hpp"
#include "rig/undo.hpp"

namespace icecore::rig {

// Which part of sshd speaks SFTP.
enum class SftpService {
  internal,  // inside sshd
  program,   // OpenSSH's sftp-server with all its extensions
  bare,      // the same without fsync, posix-rename, statvfs and limits
  chroot,    // an account with nothing but SFTP, locked into the folder; it has no shell
};

void PrintTo(SftpService service, std::ostream* out);  // for GoogleTest

struct SshServerSettings {
  SftpService service = SftpService::internal;
  std::vector<std::string> configuration;  // more lines of sshd_config; they win
  std::string password = {};               // the user's, as this sshd alone sees it; empty: as the host has it
};

class SshServer {
 public:
  explicit SshServer(const SshServerSettings& settings = {});
  ~SshServer();

  int port() const noexcept { return port_; }
  // The folder it serves, and the same as the client names it.
  const std::filesystem::path& files() const noexcept { return files_; }
  // sftp://USER@127.0.0.1:PORT/...; through another port (a proxy's) when one is given, which known_hosts then knows.
  std::string url(const std::string& below = "", std::optional<int> port = {}) const;
  const std::filesystem::path& home() const noexcept { return home_; }
  const std::string& user() const noexcept { return user_; }
  // For icecore runs: HOME, and no ssh-agent.
  Environment environment() const;
  // The same for this process.
  void enter_home() const;

  // Lets home() know the host key under one more port.
  void trust(int port) const;
  // A new host key, used after the next start().
  void change_host_key();
  // Removes the key from those who may log in.
  void refuse_key() const;

  // The newest process that serves files; -1 when there is none. Only of SftpService::program and bare.
  int service_pid() const;

  // To it and all its connections: SIGSTOP hangs it.
  void signal(int number) const;
  // Kills it and all its connections at once, as a crash would.
  void kill();
  void start();

 private:
  std::string configuration() const;
  std::vector<std::string> with_shadow(std::vector<std::string> command) const;
  std::string host_key_line(int port) const;

  Undo undo_;
  std::filesystem::path folder_;
  std::filesystem::path files_;
  std::filesystem::path home_;
  SshServerSettings settings_;
  std::string user_;
  std::string below_;  // how the client names files_
  int port_ = 0;
  std::optional<base::Child> sshd_;
};

// A TCP port of 127.0.0.1 nobody listens at just now.
int free_port();

}  // namespace icecore::rig
