// SPDX-License-Identifier: Apache-2.0
// Keys and passphrases are nowhere but in the memory of the process that needs them: not in core dumps, nor in /proc
// for other users, nor in children, logs, records, the state folder or the repository.
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "base/process.hpp"
#include "repository/key_slots.hpp"
#include "system/cli/repository_case.hpp"

namespace icecore::system_test {
namespace {

using base::Milliseconds;
using std::chrono::seconds;

std::string content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string text_of(const repository::Secret& secret) { return base::to_string(secret.view()); }

class Secrets : public RepositoryCase {
 protected:
  // The key, the passphrase and the master key, as bytes and as digits.
  std::vector<std::string> secrets() {
    const repository::Secret key = repository::read_key_file(key_file());
    const auto storage = storage::open_storage(folder_ / "repository");
    const base::Bytes config = repository::read_config_object(*storage);
    const auto opened = repository::open_master(*storage, repository::KeyFile{key_file()}, config);
    return {text_of(key),           base::to_hex(key.view()),
            text_of(opened.master), base::to_hex(opened.master.view()),
            k_passphrase,           k_ssh_password};
  }
  void expect_clean(const std::string& text, const std::string& where) {
    for (const std::string& secret : secrets()) EXPECT_EQ(text.find(secret), std::string::npos) << where;
  }

  static constexpr const char* k_passphrase = "correct-horse-battery-staple";
  static constexpr const char* k_ssh_password = "tr0ub4dor-and-3";
};

TEST_F(Secrets, AreInNoOutputAndNoFile) {
  init();
  const std::vector<std::string> ids = publish_days(2);
  const std::string phrase = private_file("phrase", std::string(k_passphrase) + "\n");
  const std::vector<std::vector<std::string>> commands = {{"key", "add", "--new-passphrase-file", phrase},
                                                          {"list"},
                                                          {"show", "latest"},
                                                          {"protect", "latest"},
                                                          {"forget", "--keep-last", "1"},
                                                          {"key", "list"},
                                                          {"unlock"},
                                                          {"init"},
                                                          {"forget", "feedbeef"}};
  for (std::vector<std::string> command : commands) {
    for (const char* option : {"-v", "--json"}) {
      command.push_back(option);
      const auto outcome = rig::icecore(command, with_key({{"ICECORE_SSH_PASSWORD", k_ssh_password}}));
      expect_clean(outcome.output + outcome.error_output, command[0]);
    }
  }
  const auto by_phrase = rig::icecore({"list", "-v", "--json"}, with({{"ICECORE_PASSPHRASE_FILE", phrase}}));
  EXPECT_EQ(by_phrase.exit_code, 0) << by_phrase.error_output;
  expect_clean(by_phrase.output + by_phrase.error_output, "list");
  for (const char* place : {"state", "repository"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / place)) {
      if (entry.is_regular_file()) expect_clean(content(entry.path()), entry.path());
    }
  }
}

TEST_F(Secrets, ChildrenSeeNone) {
  const std::string seen = folder_ / "seen";
  const std::string command = "tr '\\0' '\\n' </proc/self/environ >" + seen + "; tr '\\0' ' ' </proc/$PPID/cmdline >>" +
                              seen + "; cat " + private_file("phrase", std::string(k_passphrase) + "\n");
  must({"init"}, with({{"ICECORE_PASSPHRASE_COMMAND", command}, {"ICECORE_SSH_PASSWORD", k_ssh_password}}));
  const std::string text = content(seen);
  EXPECT_NE(text.find("icecore init"), std::string::npos) << text;
  EXPECT_NE(text.find("ICECORE_REPOSITORY"), std::string::npos) << "the environment itself is handed on";
  for (const char* secret : {k_passphrase, k_ssh_password, "ICECORE_PASSPHRASE", "ICECORE_SSH"}) {
    EXPECT_EQ(text.find(secret), std::string::npos) << secret;
  }
}

// A process of `nobody` that has the repository open and waits.
class HeldOpen : public Secrets {
 protected:
  void SetUp() override {
    ICECORE_NEEDS("root", "icecore", "program:setpriv", "program:prlimit");
    Secrets::SetUp();
    init();
    const std::string id = publish_days(2).front();
    must({"list"}, with_key());
    base::run_checked({.arguments = {"chown", "-R", "65534:65534", folder_.string()}}, seconds(10));
    std::vector<std::string> line = {"sh", "-c", "cd '" + folder_.string() + "'; exec \"$@\"", "sh"};
    for (const char* word : {"prlimit", "--core=unlimited:unlimited", "setpriv", "--reuid=65534", "--regid=65534",
                             "--clear-groups", "env"}) {
      line.emplace_back(word);
    }
    rig::Environment environment = with_key(
        {{"ICECORE_FAILPOINTS", "repository.before_forget=pause"}, {"ICECORE_FAILPOINT_FILE", folder_ / "paused"}});
    for (const auto& [name, value] : environment) line.push_back(name + "=" + value);
    for (const std::string& word : {rig::icecore_path(), std::string("forget"), id}) line.push_back(word);
    held_ = std::make_unique<base::Child>(base::Command{.arguments = line});
    const base::Stopwatch watch;
    while (!std::filesystem::exists(folder_ / "paused") && watch.elapsed() < seconds(30)) ::usleep(5000);
    ASSERT_TRUE(std::filesystem::exists(folder_ / "paused")) << held_->error_text();
  }
  void TearDown() override {
    held_.reset();
    Secrets::TearDown();
  }
  int as_nobody(const std::string& script) {
    return base::run({.arguments = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", script}},
                     seconds(10))
        .exit_code;
  }

  std::unique_ptr<base::Child> held_;
};

TEST_F(HeldOpen, TheSameUserReadsNeitherMemoryNorEnvironment) {
  const std::string own = "cat /proc/self/environ >/dev/null && head -c 0 /proc/self/mem";
  EXPECT_EQ(as_nobody(own), 0) << "of a process without keys it would work";
  const std::string proc = fmt::format("/proc/{}/", held_->pid());
  EXPECT_NE(as_nobody("cat " + proc + "environ"), 0);
  EXPECT_NE(as_nobody("head -c 0 " + proc + "mem"), 0);
}

TEST_F(HeldOpen, AnAbortLeavesNoCore) {
  const std::string limits = content(fmt::format("/proc/{}/limits", held_->pid()));
  const std::string core = limits.substr(limits.find("Max core file size"), 50);
  EXPECT_EQ(core.find("unlimited"), std::string::npos) << "though it was started with that: " << core;
  ::kill(held_->pid(), SIGABRT);
  ::kill(held_->pid(), SIGCONT);
  EXPECT_EQ(held_->wait(seconds(30)), 128 + SIGABRT);
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    EXPECT_EQ(entry.path().filename().string().find("core"), std::string::npos) << entry.path();
  }
}

}  // namespace
}  // namespace icecore::system_test
