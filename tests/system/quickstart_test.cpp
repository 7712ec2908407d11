// SPDX-License-Identifier: Apache-2.0
// examples/quickstart, which is the first thing a new user sees, tells its story to the end and leaves nothing.
#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/id.hpp"
#include "base/process.hpp"
#include "rig/icecore_run.hpp"
#include "rig/requirements.hpp"

namespace icecore::rig {
namespace {

using base::Milliseconds;

base::Outcome run(std::vector<std::string> arguments) {
  base::Command command;
  command.arguments = std::move(arguments);
  return base::run(command, Milliseconds(240'000));
}

TEST(Quickstart, BringsTheDamagedGuestBackAndLeavesNothing) {
  ICECORE_NEEDS("libvirt", "qemu", "guest", "icecore");
  const std::string name = "icecore-test-" + base::random_id(6);
  ::setenv("ICECORE_BINARY", icecore_path().c_str(), 1);
  ::setenv("ICECORE_DEMO", name.c_str(), 1);
  const base::Outcome outcome = run({ICECORE_QUICKSTART});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output << outcome.error_output;
  EXPECT_NE(outcome.output.find("All 23 files in '" + name + "-restored'"), std::string::npos) << outcome.output;
  EXPECT_EQ(run({"virsh", "-q", "-c", "qemu:///system", "list", "--all", "--name"}).output.find(name),
            std::string::npos);
}

}  // namespace
}  // namespace icecore::rig
