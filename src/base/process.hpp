// SPDX-License-Identifier: Apache-2.0
// Child processes. A child dies with the thread that started it (PR_SET_PDEATHSIG), inherits only the
// standard descriptors and those named, and never outlives its Child object.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
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
};

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

// A child that goes on while we work (qemu-nbd). Destruction: SIGTERM, 2 s later SIGKILL, reaped.
class Child {
 public:
  // Standard error goes to a pipe read by error_text(); standard output to /dev/null.
  explicit Child(const Command& command);
  Child(Child&&) noexcept = default;
  Child& operator=(Child&&) noexcept = default;

  pid_t pid() const noexcept { return reaper_.pid; }
  // Its exit code when it has ended.
  std::optional<int> poll();
  // What it has written to standard error so far.
  std::string error_text();

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
  std::optional<int> exit_code_;
  Reaper reaper_;
};

}  // namespace icecore::base
