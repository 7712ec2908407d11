// SPDX-License-Identifier: Apache-2.0
// The built icecore program as a user runs it: arguments and environment in, exit code and both outputs out; or in
// the background, to be stopped, interrupted or killed at a failpoint (base/failpoint.hpp).
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "rig/undo.hpp"

namespace icecore::rig {

// $ICECORE_BINARY, else the one of this build; "" when this build has none.
std::string icecore_path();

struct IcecoreOutcome {
  int exit_code = 0;  // 128 + signal when killed by one
  std::string output;
  std::string error_output;
  base::Milliseconds wall{0};

  // The output of --json. Throws when it is not one record.
  base::Json json() const { return base::parse_json(output, "the output of icecore --json"); }
};

using Environment = std::map<std::string, std::string>;

class IcecoreRun {
 public:
  // Starts it in the background; its Undo kills it if the test does not end it.
  IcecoreRun(std::vector<std::string> arguments, Environment environment = {});
  ~IcecoreRun();
  IcecoreRun(const IcecoreRun&) = delete;
  IcecoreRun& operator=(const IcecoreRun&) = delete;

  pid_t pid() const noexcept { return pid_; }
  bool has_ended();
  // Its end; throws and kills it at the deadline.
  IcecoreOutcome wait(base::Milliseconds deadline = base::Milliseconds(120'000));

  void signal(int number);
  IcecoreOutcome kill();  // SIGKILL, and its end

  // Returns the name of the failpoint at which the run is now paused or was killed.
  std::string wait_failpoint(base::Milliseconds deadline = base::Milliseconds(60'000));
  void go_on();  // after a pause

 private:
  void start(std::vector<std::string> arguments, const Environment& environment);
  std::string text(const char* name) const;

  Undo undo_;
  std::filesystem::path folder_;
  base::Stopwatch watch_;
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

// Runs it to its end.
IcecoreOutcome icecore(std::vector<std::string> arguments, Environment environment = {},
                       base::Milliseconds deadline = base::Milliseconds(120'000));

}  // namespace icecore::rig
