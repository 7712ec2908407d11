// SPDX-License-Identifier: Apache-2.0
// Child processes. A child dies with the thread that started it (PR_SET_PDEATHSIG), inherits only the
// standard descriptors and those named, and never outlives its Child object. It does not see the variables
// ICECORE_PASSPHRASE* and ICECORE_SSH_*.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/handle.hpp"

namespace icecore::base {

struct Command {
  std::vector<std::string> arguments;                 // [0] is looked up in PATH
  std::vector<std::pair<int, int>> pass_descriptors;  // {ours, its number in the child}
  std::string input;                                  // written to its standard input; empty: /dev/null
  bool survive_parent = false;                        // true: no PR_SET_PDEATHSIG (the thaw watchdog)
  // false: a process group of its own, so that Ctrl-C reaches us alone and we decide what ends when.
  // true: it may read from the terminal, as a program asking for a passphrase does.
  bool share_terminal = false;
};

// For a process that will hold secrets, before it does: no core dumps, and its memory and environment in /proc are for
// root only. Children begin with that again on (exec makes a process readable), but for the core dumps.
void keep_memory_private() noexcept;

struct Outcome {
  int exit_code = 0;  // 128 + signal when killed by one
  std::string output;
  std::string error_output;
};

// Runs to the end, collecting at most 64 MiB a stream. At the deadline or on stop the child is killed and
// Fault::unavailable or Fault::cancelled thrown. A non-zero exit code is a value, not an exception.
Outcome run(const Command& command, Milliseconds deadline, std::stop_token stop = {});

// As run(), but a non-zero exit code throws with the first line of its standard error; returns its output.
std::string run_checked(const Command& command, Milliseconds deadline, std::stop_token stop = {});

// What a child's standard input and output are joined to.
enum class Wiring {
  silent,  // /dev/null
  dialog,  // us: send_line() and read_line()
};

// A child that goes on while we work (qemu-nbd). Destruction: SIGTERM, 2 s later SIGKILL, reaped.
class Child {
 public:
  // Standard error goes to a pipe read by error_text(); Command::input is not used.
  explicit Child(const Command& command, Wiring wiring = Wiring::silent);
  Child(Child&&) noexcept = default;
  Child& operator=(Child&&) noexcept = default;

  pid_t pid() const noexcept { return reaper_.pid; }
  // Its exit code when it has ended.
  std::optional<int> poll();
  // Its exit code as soon as it ends, or nothing at the deadline.
  std::optional<int> wait(Milliseconds deadline);
  // Leaves it running, unwatched; a dialog is ended. For children that must finish what we cannot wait for.
  void release() noexcept;
  // What it has written to standard error so far.
  std::string error_text();

  // The dialog. A line has no line break inside; send_line() throws Fault::unavailable once the child no longer
  // listens. read_line() returns nothing at the deadline or when the child closed its output: wait() tells which.
  void send_line(std::string_view line);
  std::optional<std::string> read_line(Milliseconds deadline);
  // The child reads end of file after what was sent.
  void end_input() noexcept;

 private:
  struct Reaper {
    pid_t pid = -1;
    explicit Reaper(pid_t started) : pid(started) {}
    Reaper(Reaper&& other) noexcept : pid(std::exchange(other.pid, -1)) {}
    Reaper& operator=(Reaper&& other) noexcept {
      std::swap(pid, other.pid);
      return *this;
    }
    ~Reaper();
  };
  Fd error_pipe_;
  std::string error_text_;
  Fd dialog_;
  std::string unread_;
  std::optional<int> exit_code_;
  Reaper reaper_;
};

}  // namespace icecore::base
