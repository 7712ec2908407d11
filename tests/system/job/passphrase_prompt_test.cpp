// SPDX-License-Identifier: Apache-2.0
// The passphrase typed at a terminal: a real one (pty), with a person's keys.
#include <gmock/gmock.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "base/clock.hpp"
#include "base/handle.hpp"
#include "rig/icecore_run.hpp"
#include "rig/requirements.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;

constexpr std::chrono::seconds k_patience(60);

// icecore with a terminal of its own.
class TerminalRun {
 public:
  explicit TerminalRun(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), rig::icecore_path());
    std::vector<char*> words;
    for (std::string& word : arguments) words.push_back(word.data());
    words.push_back(nullptr);
    int master = -1;
    pid_ = ::forkpty(&master, nullptr, nullptr, nullptr);
    if (pid_ == 0) {
      ::execv(words[0], words.data());
      ::_exit(127);
    }
    master_ = base::Fd(master);
  }
  ~TerminalRun() {
    if (pid_ > 0) ::kill(pid_, SIGKILL), ::waitpid(pid_, nullptr, 0);
  }
  TerminalRun(const TerminalRun&) = delete;
  TerminalRun& operator=(const TerminalRun&) = delete;

  void expect(const std::string& text) {
    const base::Stopwatch watch;
    while (screen_.find(text) == std::string::npos) {
      ASSERT_LT(watch.elapsed(), k_patience) << "on the screen: " << screen_;
      ASSERT_TRUE(read_some()) << "it ended with: " << screen_;
    }
  }
  void type(const std::string& keys) {
    ASSERT_EQ(::write(master_.get(), keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  bool echoes() const {
    termios now{};
    return ::tcgetattr(master_.get(), &now) == 0 && (now.c_lflag & ECHO) != 0;
  }
  // Its exit code, 128 + signal when killed by one.
  int wait() {
    const base::Stopwatch watch;
    while (watch.elapsed() < k_patience && read_some()) continue;
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  const std::string& screen() const { return screen_; }

 private:
  // False once the other end is closed.
  bool read_some() {
    pollfd input{master_.get(), POLLIN, 0};
    if (::poll(&input, 1, 1000) <= 0) return true;
    std::array<char, 1024> buffer;
    const ssize_t count = ::read(master_.get(), buffer.data(), buffer.size());
    if (count > 0) screen_.append(buffer.data(), static_cast<std::size_t>(count));
    return count > 0;
  }

  pid_t pid_ = -1;
  base::Fd master_;
  std::string screen_;
};

class PassphrasePrompt : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("icecore"); }
  std::vector<std::string> words(const std::string& command) const {
    return {command, "-r", folder.path() / "repository", "--state-dir", folder.path() / "state"};
  }
  void init() const {
    TerminalRun run(words("init"));
    run.expect("New passphrase: ");
    EXPECT_FALSE(run.echoes());
    run.type("open sesame\n");
    run.expect("Once more: ");
    run.type("open sesame\n");
    EXPECT_EQ(run.wait(), 0) << run.screen();
    EXPECT_THAT(run.screen(), testing::Not(HasSubstr("sesame")));
  }
  rig::TestFolder folder;
};

TEST_F(PassphrasePrompt, UnlocksTheRepositoryItMade) {
  init();
  TerminalRun right(words("list"));
  right.expect("Passphrase of the repository: ");
  right.type("open sesame\n");
  EXPECT_EQ(right.wait(), 0) << right.screen();
  EXPECT_THAT(right.screen(), HasSubstr("no restore points"));
  TerminalRun wrong(words("list"));
  wrong.expect("Passphrase of the repository: ");
  wrong.type("close sesame\n");
  EXPECT_EQ(wrong.wait(), 7) << wrong.screen();
}

TEST_F(PassphrasePrompt, TwoDifferentOnesMakeNothing) {
  TerminalRun run(words("init"));
  run.expect("New passphrase: ");
  run.type("one\n");
  run.expect("Once more: ");
  run.type("other\n");
  EXPECT_EQ(run.wait(), 2) << run.screen();
  EXPECT_TRUE(std::filesystem::is_empty(folder.path() / "repository"));
}

TEST_F(PassphrasePrompt, CtrlCGivesTheEchoBack) {
  TerminalRun run(words("init"));
  run.expect("New passphrase: ");
  run.type("\x03");
  EXPECT_EQ(run.wait(), 130) << run.screen();
  EXPECT_TRUE(run.echoes());
}

}  // namespace
}  // namespace icecore::system_test
