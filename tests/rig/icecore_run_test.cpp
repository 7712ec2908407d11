// SPDX-License-Identifier: Apache-2.0
// Running the program, shown on a stand-in script that prints, waits or stops as the real one would.
#include "rig/icecore_run.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <fstream>

#include "base/error.hpp"

namespace icecore::rig {
namespace {

using base::Milliseconds;

class RigIcecoreRun : public testing::Test {
 protected:
  // Makes a script the program for this test.
  void stand_in(const std::string& body) {
    const std::filesystem::path script = folder_.path() / "program";
    std::ofstream(script) << "#!/bin/sh\n" << body << "\n";
    std::filesystem::permissions(script, std::filesystem::perms(0755));
    ::setenv("ICECORE_BINARY", script.c_str(), 1);
  }

 private:
  TestFolder folder_;
};

TEST_F(RigIcecoreRun, ReturnsBothOutputsAndTheExitCode) {
  stand_in(R"(echo "{\"said\": \"$1 $EXTRA\"}"; echo no >&2; exit 3)");
  const IcecoreOutcome outcome = icecore({"list"}, {{"EXTRA", "more"}});
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_EQ(outcome.json().at("said"), "list more");
  EXPECT_EQ(outcome.error_output, "no\n");
}

TEST_F(RigIcecoreRun, PausesAtAFailpointAndGoesOn) {
  stand_in(R"(echo -n backup.frozen >"$ICECORE_FAILPOINT_FILE"; kill -STOP $$; echo after)");
  IcecoreRun run({});
  EXPECT_EQ(run.wait_failpoint(), "backup.frozen");
  EXPECT_FALSE(run.has_ended());
  run.go_on();
  EXPECT_EQ(run.wait().output, "after\n");
}

TEST_F(RigIcecoreRun, KilledRunTellsSo) {
  stand_in(R"(echo -n here >"$ICECORE_FAILPOINT_FILE"; exec sleep 600)");
  IcecoreRun run({});
  run.wait_failpoint();
  EXPECT_EQ(run.kill().exit_code, 128 + SIGKILL);
}

TEST_F(RigIcecoreRun, DeadlineEndsARunThatHangs) {
  stand_in("exec sleep 600");
  EXPECT_THROW(icecore({}, {}, Milliseconds(200)), base::Error);
}

}  // namespace
}  // namespace icecore::rig
