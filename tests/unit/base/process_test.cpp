// SPDX-License-Identifier: Apache-2.0
#include "base/process.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "base/error.hpp"

namespace icecore::base {
namespace {

using std::chrono::seconds;

TEST(Process, HasItsOwnGroupUnlessItSharesTheTerminal) {
  const Command own{{"sh", "-c", "cut -d' ' -f5 /proc/$$/stat"}};
  Command shared = own;
  shared.share_terminal = true;
  const int ours = ::getpgrp();
  EXPECT_NE(std::stoi(run_checked(own, Milliseconds(10'000))), ours);
  EXPECT_EQ(std::stoi(run_checked(shared, Milliseconds(10'000))), ours);
}

TEST(Process, PassesInputAndCollectsBothStreams) {
  const Outcome outcome = run({.arguments = {"sh", "-c", "cat; echo oops >&2; exit 3"}, .input = "hello"}, seconds(10));
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_EQ(outcome.output, "hello");
  EXPECT_EQ(outcome.error_output, "oops\n");
}

TEST(Process, KillsAtTheDeadline) {
  const Stopwatch watch;
  try {
    run({.arguments = {"sleep", "60"}}, Milliseconds(200));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::unavailable);
  }
  EXPECT_LT(watch.elapsed(), seconds(10));
}

TEST(Process, CheckedRunSaysWhatTheProgramSaid) {
  try {
    run_checked({.arguments = {"sh", "-c", "echo 'no such disk' >&2; exit 1"}}, seconds(10));
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "'sh' failed with exit code 1: no such disk");
  }
  EXPECT_THROW(run_checked({.arguments = {"icecore-no-such-program"}}, seconds(10)), Error);
}

TEST(Process, ChildEndsWithItsOwner) {
  pid_t pid = 0;
  {
    Child child({.arguments = {"sleep", "60"}});
    pid = child.pid();
    EXPECT_FALSE(child.poll());
  }
  EXPECT_NE(::kill(pid, 0), 0);
}

TEST(Process, DialogGoesBackAndForthAndEnds) {
  Child child({.arguments = {"sh", "-c", "while read line; do echo \"<$line>\"; done; exit 7"}}, Wiring::dialog);
  child.send_line("one");
  EXPECT_EQ(child.read_line(seconds(10)), "<one>");
  EXPECT_EQ(child.read_line(Milliseconds(1)), std::nullopt);
  child.send_line("two");
  child.send_line("three");
  EXPECT_EQ(child.read_line(seconds(10)), "<two>");
  EXPECT_EQ(child.read_line(seconds(10)), "<three>");
  child.end_input();
  EXPECT_EQ(child.wait(seconds(10)), 7);
  EXPECT_EQ(child.read_line(seconds(10)), std::nullopt);
  EXPECT_THROW(child.send_line("four"), Error);
}

TEST(Process, ChildrenSeeNoSecretsOfTheEnvironment) {
  const std::vector<std::string> names = {"ICECORE_PASSPHRASE_FILE", "ICECORE_SSH_PASSWORD", "ICECORE_KEY_FILE"};
  for (const std::string& name : names) ASSERT_EQ(::setenv(name.c_str(), "for-us-only", 1), 0);
  const ScopeExit undo([&] {
    for (const std::string& name : names) ::unsetenv(name.c_str());
  });
  const std::string seen = run_checked({.arguments = {"env"}}, std::chrono::seconds(10));
  EXPECT_EQ(seen.find("ICECORE_PASSPHRASE"), std::string::npos);
  EXPECT_EQ(seen.find("ICECORE_SSH"), std::string::npos);
  EXPECT_NE(seen.find("ICECORE_KEY_FILE"), std::string::npos) << "a path is no secret";
}

}  // namespace
}  // namespace icecore::base
