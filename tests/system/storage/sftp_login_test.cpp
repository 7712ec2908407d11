// SPDX-License-Identifier: Apache-2.0
// Who is let in, and what a user reads when somebody is not: one line, the next command, an exit code, no secret.
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>

#include "base/durable_file.hpp"
#include "base/process.hpp"
#include "rig/icecore_run.hpp"
#include "rig/requirements.hpp"
#include "rig/ssh_server.hpp"

namespace icecore::rig {
namespace {

using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

constexpr int k_usage = 2;
constexpr int k_not_found = 4;
constexpr int k_unavailable = 6;
constexpr int k_denied = 7;
constexpr int k_conflict = 10;
constexpr base::Milliseconds k_deadline{20'000};

std::string run(std::vector<std::string> arguments) {
  return base::run_checked({.arguments = std::move(arguments), .pass_descriptors = {}, .input = {}}, k_deadline);
}

class SftpLoginTest : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "icecore", "program:sshd", "program:ssh-keygen", "program:ssh-agent"); }

  void start(const SshServerSettings& settings = {}) {
    server_.emplace(settings);
    ssh_ = server_->home() / ".ssh";
    environment_ = server_->environment();
  }
  // `command` against the server's folder "repository", or another URL.
  IcecoreOutcome icecore_at(std::vector<std::string> command, std::string url = "") {
    if (url.empty()) url = server_->url("repository");
    command.insert(command.end(), {"-r", url, "--key-file", (server_->home() / "key").string(), "--state-dir",
                                   (server_->home() / "state").string()});
    return icecore(std::move(command), environment_);
  }
  void expect_let_in() {
    const IcecoreOutcome outcome = icecore_at({"init"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  }
  // A line that says what is wrong and one with what to do.
  static void expect_refusal(const IcecoreOutcome& outcome, int exit_code, const std::string& says,
                             const std::string& hint) {
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.error_output;
    EXPECT_THAT(outcome.error_output, HasSubstr(says));
    EXPECT_THAT(outcome.error_output, HasSubstr(hint));
    EXPECT_LE(std::count(outcome.error_output.begin(), outcome.error_output.end(), '\n'), 2) << outcome.error_output;
  }
  void write(const fs::path& path, const std::string& text) { base::write_durably(path, base::as_bytes(text), 0600); }
  std::string fingerprint() {
    return run({"ssh-keygen", "-lf", (server_->home().parent_path() / "host_key").string()}).substr(4, 50);
  }

  std::optional<SshServer> server_;
  fs::path ssh_;
  Environment environment_;
};

TEST_F(SftpLoginTest, ARepositoryIsMadeAndUsed) {
  start();
  expect_let_in();
  const IcecoreOutcome list = icecore_at({"list"});
  EXPECT_EQ(list.exit_code, 0) << list.error_output;
  expect_refusal(icecore_at({"init"}), k_conflict, "holds a repository already", "icecore list -r sftp://");
}

TEST_F(SftpLoginTest, SomebodysFolderIsNotFilled) {
  start();
  fs::create_directories(server_->files() / "repository/letters");
  expect_refusal(icecore_at({"init"}), k_conflict, "is not empty ('letters' is in it)", "an empty folder");
  EXPECT_FALSE(fs::exists(server_->files() / "repository/config"));
  EXPECT_FALSE(fs::exists(server_->home() / "key")) << "nor a key file left";
  fs::remove(server_->files() / "repository/letters");
  fs::create_directories(server_->files() / "repository/lost+found");
  expect_let_in();
}

TEST_F(SftpLoginTest, OneRepositoryIsKnownByAllItsUrls) {
  start();
  expect_let_in();
  const std::string url = server_->url("repository");
  const std::size_t path = url.rfind("/repository");
  EXPECT_EQ(icecore_at({"list"}, url.substr(0, path) + "/.//repository/").exit_code, 0);
  const fs::path known = server_->home() / "state/repositories";
  EXPECT_EQ(std::distance(fs::directory_iterator(known), fs::directory_iterator()), 1);
}

TEST_F(SftpLoginTest, AnUnknownHostKeyIsLearnedByInitAlone) {
  start();
  fs::remove(ssh_ / "known_hosts");
  const IcecoreOutcome refused = icecore_at({"list"});
  expect_refusal(refused, k_denied, fingerprint(), "icecore init --accept-new-host-key -r sftp://");
  expect_refusal(icecore_at({"init"}), k_denied, "is not known", "--accept-new-host-key");
  EXPECT_FALSE(fs::exists(ssh_ / "known_hosts"));
  const IcecoreOutcome init = icecore_at({"init", "--accept-new-host-key"});
  EXPECT_EQ(init.exit_code, 0) << init.error_output;
  EXPECT_EQ(icecore_at({"list"}).exit_code, 0);
}

TEST_F(SftpLoginTest, AChangedHostKeyIsNeverLearned) {
  start();
  expect_let_in();
  server_->kill();
  server_->change_host_key();
  server_->start();
  expect_refusal(icecore_at({"list"}), k_conflict, "HAS CHANGED to ssh-ed25519 " + fingerprint(), "ssh-keygen -R");
  expect_refusal(icecore_at({"init", "--accept-new-host-key"}), k_conflict, "HAS CHANGED", "ssh-keygen -R");
}

TEST_F(SftpLoginTest, ARevokedHostKeyIsRefused) {
  start();
  const std::string known = base::to_string(base::read_file(ssh_ / "known_hosts"));
  write(ssh_ / "known_hosts", known + "@revoked * " + known.substr(known.find(' ') + 1));
  expect_refusal(icecore_at({"init"}), k_denied, "revoked", "administrator");
}

TEST_F(SftpLoginTest, HashedKnownHosts) {
  start();
  run({"ssh-keygen", "-q", "-H", "-f", (ssh_ / "known_hosts").string()});
  expect_let_in();
}

TEST_F(SftpLoginTest, ARefusedKey) {
  start();
  server_->refuse_key();
  expect_refusal(icecore_at({"init"}), k_denied, "id_ed25519", "ssh-copy-id");
}

TEST_F(SftpLoginTest, NoKeyAtAll) {
  start();
  fs::remove(ssh_ / "id_ed25519");
  expect_refusal(icecore_at({"init"}), k_denied, "no key or password to try", "ssh-copy-id");
}

TEST_F(SftpLoginTest, AKeyWithAPassphrase) {
  start();
  run({"ssh-keygen", "-q", "-p", "-N", "hunter2", "-f", (ssh_ / "id_ed25519").string()});
  expect_refusal(icecore_at({"init"}), k_denied, "passphrase", "ICECORE_SSH_KEY_PASSPHRASE_FILE");
  environment_["ICECORE_SSH_KEY_PASSPHRASE_FILE"] = server_->home() / "passphrase";
  write(server_->home() / "passphrase", "wrong2\n");
  const IcecoreOutcome wrong = icecore_at({"init"});
  expect_refusal(wrong, k_denied, "wrong passphrase", "ICECORE_SSH_KEY_PASSPHRASE_FILE");
  EXPECT_THAT(wrong.error_output, Not(HasSubstr("wrong2")));
  write(server_->home() / "passphrase", "hunter2\n");
  expect_let_in();
}

TEST_F(SftpLoginTest, AKeyInTheAgent) {
  start();
  const fs::path socket = server_->home() / "agent";
  const base::Child agent(
      {.arguments = {"ssh-agent", "-D", "-a", socket.string()}, .pass_descriptors = {}, .input = {}});
  for (const base::Stopwatch watch; !fs::exists(socket) && watch.elapsed() < k_deadline;) {
  }
  run({"env", "SSH_AUTH_SOCK=" + socket.string(), "ssh-add", "-q", (ssh_ / "id_ed25519").string()});
  fs::remove(ssh_ / "id_ed25519");
  environment_["SSH_AUTH_SOCK"] = socket;
  expect_let_in();
  // Named by its public half, it is one of those that may be tried; else it is not.
  write(ssh_ / "config", "IdentitiesOnly yes\n");
  EXPECT_EQ(icecore_at({"list"}).exit_code, 0);
  fs::remove(ssh_ / "id_ed25519.pub");
  expect_refusal(icecore_at({"list"}), k_denied, "ssh-agent (0 keys)", "ssh-copy-id");
}

// Nobody takes the calls at its socket.
TEST_F(SftpLoginTest, AnAgentThatHangsIsPassedOver) {
  start();
  const fs::path socket = server_->home() / "agent";
  const base::Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socket.string().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 8), 0);
  environment_["SSH_AUTH_SOCK"] = socket;
  expect_let_in();
  fs::remove(ssh_ / "id_ed25519");
  expect_refusal(icecore_at({"list"}), k_denied, "ssh-agent (does not answer at", "ssh-copy-id");
}

TEST_F(SftpLoginTest, AnAliasOfTheSshConfig) {
  start();
  fs::rename(ssh_ / "id_ed25519", server_->home() / "another");
  write(ssh_ / "config", fmt::format("Host nas\n HostName 127.0.0.1\n Port {}\n User {}\n IdentityFile ~/another\n",
                                     server_->port(), server_->user()));
  const std::string url = "sftp://nas" + (server_->files() / "repository").string();
  const IcecoreOutcome outcome = icecore_at({"init"}, url);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  EXPECT_THAT(outcome.output, HasSubstr(url));
}

TEST_F(SftpLoginTest, APasswordInTheUrlIsRefusedUnseen) {
  start();
  const IcecoreOutcome outcome = icecore_at({"list"}, "sftp://me:hunter2@127.0.0.1/x");
  expect_refusal(outcome, k_usage, "password", "ICECORE_SSH_PASSWORD_FILE");
  EXPECT_THAT(outcome.error_output + outcome.output, Not(HasSubstr("hunter2")));
}

TEST_F(SftpLoginTest, PathsThatAreNoRepository) {
  start();
  write(server_->files() / "file", "x");
  expect_refusal(icecore_at({"list"}, server_->url("file")), k_not_found, "is no folder", "");
  expect_refusal(icecore_at({"init"}, server_->url("file")), k_not_found, "is no folder", "");
  expect_refusal(icecore_at({"init"}, server_->url("file/below")), k_not_found, "file/below", "");
  expect_refusal(icecore_at({"list"}, server_->url("missing")), k_not_found, "no folder", "icecore init -r sftp://");
  fs::create_directory(server_->files() / "empty");
  expect_refusal(icecore_at({"list"}, server_->url("empty")), k_not_found, "repository", "icecore init");
}

TEST_F(SftpLoginTest, NobodyListens) {
  start();
  server_->kill();
  expect_refusal(icecore_at({"list"}), k_unavailable, "cannot connect", "");
}

// The account's password is one of a mount namespace of sshd's own.
TEST_F(SftpLoginTest, APasswordFromAFile) {
  start({.service = SftpService::internal, .configuration = {"PasswordAuthentication yes"}, .password = "hunter2"});
  fs::remove(ssh_ / "id_ed25519");
  environment_["ICECORE_SSH_PASSWORD_FILE"] = server_->home() / "password";
  write(server_->home() / "password", "wrong2\n");
  fs::permissions(server_->home() / "password", fs::perms::others_read, fs::perm_options::add);
  expect_refusal(icecore_at({"init"}), k_denied, "is open to other users", "chmod 600");
  write(server_->home() / "password", "wrong2\n");
  const IcecoreOutcome wrong = icecore_at({"init"});
  expect_refusal(wrong, k_denied, "tried the password", "");
  EXPECT_THAT(wrong.error_output, Not(HasSubstr("wrong2")));
  write(server_->home() / "password", "hunter2\n");
  expect_let_in();
  environment_.erase("ICECORE_SSH_PASSWORD_FILE");
  environment_["ICECORE_SSH_PASSWORD"] = "hunter2";
  EXPECT_EQ(icecore_at({"list"}).exit_code, 0);
}

}  // namespace
}  // namespace icecore::rig
