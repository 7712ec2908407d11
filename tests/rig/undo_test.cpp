// SPDX-License-Identifier: Apache-2.0
// A test that dies at any moment leaves nothing behind: not its folder, its processes, nor its domain.
#include "rig/undo.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "base/clock.hpp"
#include "base/handle.hpp"
#include "base/process.hpp"
#include "rig/requirements.hpp"
#include "rig/test_domain.hpp"

namespace icecore::rig {
namespace {

using base::Milliseconds;

// Runs `make` in a child, which then kills itself without a chance to clean up; returns what `make` returned.
std::string in_killed_child(const std::function<std::string()>& make) {
  int ends[2] = {-1, -1};
  EXPECT_EQ(::pipe(ends), 0);
  const base::Fd read_end(ends[0]);
  base::Fd write_end(ends[1]);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const std::string text = make();
    static_cast<void>(!::write(write_end.get(), text.data(), text.size()));
    ::raise(SIGKILL);
  }
  write_end.reset();
  std::string text(4096, '\0');
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::read(read_end.get(), text.data(), text.size()))));
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  return text;
}

bool becomes_true(const std::function<bool()>& condition, Milliseconds deadline = Milliseconds(30'000)) {
  const base::Stopwatch watch;
  while (!condition()) {
    if (watch.elapsed() > deadline) return false;
    std::this_thread::sleep_for(Milliseconds(20));
  }
  return true;
}

TEST(RigUndo, RemovesTheFolderAtTheEndOfTheScope) {
  std::filesystem::path path;
  {
    const TestFolder folder;
    path = folder.path();
    EXPECT_TRUE(std::filesystem::is_directory(path));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(RigUndo, KilledTestLeavesNoFolder) {
  const std::string path = in_killed_child([] {
    auto* folder = new TestFolder;  // never deleted: we die first
    return folder->path().native();
  });
  ASSERT_FALSE(path.empty());
  EXPECT_TRUE(becomes_true([&] { return !std::filesystem::exists(path); })) << path;
}

TEST(RigUndo, KilledTestLeavesNoProcess) {
  const std::string pid = in_killed_child([] {
    auto* undo = new Undo;
    const pid_t sleeper = ::fork();
    if (sleeper == 0) {
      for (int fd = 3; fd < 64; ++fd) ::close(fd);
      ::execlp("sleep", "sleep", "600", nullptr);
      ::_exit(127);
    }
    undo->process(sleeper);
    return std::to_string(sleeper);
  });
  ASSERT_FALSE(pid.empty());
  EXPECT_TRUE(becomes_true([&] { return ::kill(std::stoi(pid), 0) != 0; })) << pid;
}

TEST(RigUndo, KilledTestLeavesNoDomain) {
  ICECORE_NEEDS("libvirt", "qemu", "guest");
  const std::string made = in_killed_child([] {
    auto* domain = new TestDomain;
    domain->start_paused();
    return domain->name() + " " + domain->folder().native();
  });
  const std::string name = made.substr(0, made.find(' '));
  const std::string folder = made.substr(made.find(' ') + 1);
  ASSERT_TRUE(name.starts_with("icecore-test-")) << made;
  const auto knows_it = [&] {
    return base::run({.arguments = {"virsh", "-q", "-c", "qemu:///system", "domuuid", name}}, Milliseconds(20'000))
               .exit_code == 0;
  };
  EXPECT_TRUE(becomes_true([&] { return !knows_it() && !std::filesystem::exists(folder); })) << made;
}

}  // namespace
}  // namespace icecore::rig
