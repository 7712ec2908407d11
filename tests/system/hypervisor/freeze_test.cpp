// SPDX-License-Identifier: Apache-2.0
// Freeze and thaw of a real guest through its real agent, and every way in which they go wrong.
#include "hypervisor/freeze.hpp"

#include <signal.h>

#include <thread>

#include "base/process.hpp"
#include "hypervisor/thaw_watchdog.hpp"
#include "rig/guest.hpp"
#include "system/hypervisor/hypervisor_case.hpp"

namespace icecore::hypervisor {
namespace {

using base::Milliseconds;
using std::chrono::seconds;

class HypervisorFreeze : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("libvirt", "qemu", "guest"); }
};

FreezeOptions freeze_options(Milliseconds cap = seconds(30)) {
  FreezeOptions options;
  options.cap = cap;
  options.helper = internal_program();
  return options;
}

rig::DomainOptions with_file_system() {
  rig::DomainOptions options;
  options.disks[0].image.file_system = true;
  return options;
}

// A booted guest with one mounted file system.
struct GuestCase : Case {
  GuestCase() : Case(with_file_system()), guest(rig) {
    rig.start();
    guest.wait_agent();
  }
  void wait_thawed(Milliseconds deadline) {
    const base::Stopwatch watch;
    while (guest.freeze_status() != "thawed") {
      if (watch.elapsed() > deadline) FAIL() << "still frozen after " << deadline.count() << " ms";
      std::this_thread::sleep_for(Milliseconds(50));
    }
  }
  rig::Guest guest;
};

TEST_F(HypervisorFreeze, FreezesAndThaws) {
  GuestCase test;
  Freeze freeze(test.domain(), freeze_options());
  EXPECT_EQ(test.guest.freeze_status(), "thawed");
  const FreezeReport frozen = freeze.freeze();
  EXPECT_EQ(frozen.state, FreezeState::frozen) << frozen.reason;
  EXPECT_EQ(frozen.file_systems, 1);
  EXPECT_EQ(test.guest.freeze_status(), "frozen");
  const ThawReport thawed = freeze.thaw();
  EXPECT_TRUE(thawed.thawed);
  EXPECT_FALSE(thawed.early) << thawed.reason;
  EXPECT_GE(thawed.frozen, frozen.call);
  EXPECT_EQ(test.guest.freeze_status(), "thawed");
  // Once more without effect.
  EXPECT_EQ(freeze.thaw().frozen, thawed.frozen);
}

TEST_F(HypervisorFreeze, TheSnapshotAddsLittleToTheWindow) {
  GuestCase test;
  Snapshot snapshot(test.domain(), {test.overlay()}, snapshot_options());
  Freeze freeze(test.domain(), freeze_options());
  ASSERT_EQ(freeze.freeze().state, FreezeState::frozen);
  const base::Stopwatch around;
  const SnapshotReport taken = snapshot.take();
  const Milliseconds outside = around.elapsed() - taken.call;
  const ThawReport thawed = freeze.thaw();
  snapshot.confirm();
  EXPECT_FALSE(thawed.early);
  // The process that makes the call was connected before: what we add is a line through a socket each way.
  EXPECT_LT(outside, Milliseconds(50));
  RecordProperty("frozen_ms", static_cast<int>(thawed.frozen.count()));
  RecordProperty("snapshot_ms", static_cast<int>(taken.call.count()));
}

TEST_F(HypervisorFreeze, TheWatchdogThawsAtTheCap) {
  GuestCase test;
  Freeze freeze(test.domain(), freeze_options(Milliseconds(1000)));
  ASSERT_EQ(freeze.freeze().state, FreezeState::frozen);
  test.wait_thawed(seconds(10));
  const ThawReport thawed = freeze.thaw();
  EXPECT_TRUE(thawed.thawed);
  EXPECT_TRUE(thawed.early);
  EXPECT_NE(thawed.reason.find("watchdog"), std::string::npos) << thawed.reason;
}

TEST_F(HypervisorFreeze, TheWatchdogOutlivesAKilledParent) {
  GuestCase test;
  base::Child child({.arguments = {ICECORE_INTERNAL_PROGRAM, "freeze", test.rig.uri(), test.rig.uuid()}},
                    base::Wiring::dialog);
  ASSERT_EQ(child.read_line(seconds(30)), "frozen") << child.error_text();
  EXPECT_EQ(test.guest.freeze_status(), "frozen");
  ::kill(child.pid(), SIGKILL);
  test.wait_thawed(seconds(10));
}

TEST_F(HypervisorFreeze, AThawBySomebodyElseIsNoticed) {
  GuestCase test;
  Freeze freeze(test.domain(), freeze_options());
  ASSERT_EQ(freeze.freeze().state, FreezeState::frozen);
  test.guest.agent({{"execute", "guest-fsfreeze-thaw"}});
  const ThawReport thawed = freeze.thaw();
  EXPECT_TRUE(thawed.thawed);
  EXPECT_TRUE(thawed.early);
}

TEST_F(HypervisorFreeze, AForgottenFreezeIsThawed) {
  GuestCase test;
  {
    Freeze freeze(test.domain(), freeze_options());
    ASSERT_EQ(freeze.freeze().state, FreezeState::frozen);
  }
  EXPECT_EQ(test.guest.freeze_status(), "thawed");
}

TEST_F(HypervisorFreeze, AFrozenGuestIsRefusedAndThawed) {
  GuestCase test;
  test.guest.agent({{"execute", "guest-fsfreeze-freeze"}});
  Freeze freeze(test.domain(), freeze_options());
  const FreezeReport report = freeze.freeze();
  EXPECT_EQ(report.state, FreezeState::refused);
  EXPECT_FALSE(report.reason.empty());
  EXPECT_EQ(test.guest.freeze_status(), "thawed");
}

TEST_F(HypervisorFreeze, AHungAgentIsSilentInTime) {
  GuestCase test;
  Freeze freeze(test.domain(), freeze_options(seconds(3)));
  test.guest.hang_agent(seconds(15));
  while (test.guest.agent_answers()) {
  }
  const base::Stopwatch watch;
  const FreezeReport report = freeze.freeze();
  EXPECT_EQ(report.state, FreezeState::agent_silent) << report.reason;
  EXPECT_LT(watch.elapsed(), seconds(25));
  test.guest.wait_agent(seconds(60));
  test.wait_thawed(seconds(20));
}

// The agent dies on us between freeze and thaw: the watchdog thaws when it is back.
TEST_F(HypervisorFreeze, AnAgentThatHangsWhileFrozenIsThawedLater) {
  GuestCase test;
  Freeze freeze(test.domain(), freeze_options(seconds(3)));
  test.guest.hang_agent(seconds(12));
  ASSERT_EQ(freeze.freeze().state, FreezeState::frozen);
  while (test.guest.agent_answers()) {
  }
  const ThawReport thawed = freeze.thaw();
  // We, the watchdog that came first, or nobody yet: only our own thaw in time has nothing to explain.
  EXPECT_EQ(thawed.thawed && !thawed.early, thawed.reason.empty()) << thawed.reason;
  test.guest.wait_agent(seconds(60));
  test.wait_thawed(seconds(20));
}

TEST_F(HypervisorFreeze, AGuestThatCannotFreezeIsExplained) {
  rig::DomainOptions no_channel;
  no_channel.agent_channel = false;
  Case without(no_channel);
  without.rig.start_paused();
  without.domain().resume();
  Freeze absent(without.domain(), freeze_options());
  EXPECT_EQ(absent.freeze().state, FreezeState::no_agent);
  EXPECT_NE(absent.freeze().reason.find("no channel"), std::string::npos);
  EXPECT_FALSE(absent.thaw().early);

  Case paused;
  Freeze off(paused.domain(), freeze_options());
  EXPECT_EQ(off.freeze().state, FreezeState::not_running);
  paused.rig.start_paused();
  Freeze frozen_by_pause(paused.domain(), freeze_options());
  EXPECT_EQ(frozen_by_pause.freeze().state, FreezeState::guest_paused);
  // Running, but nobody in the guest has opened the channel yet.
  paused.domain().resume();
  Freeze early(paused.domain(), freeze_options());
  EXPECT_EQ(early.freeze().state, FreezeState::no_agent);
  EXPECT_NE(early.freeze().reason.find("qemu-guest-agent"), std::string::npos);
}

TEST_F(HypervisorFreeze, WithoutItsWatchdogNothingIsFrozen) {
  GuestCase test;
  FreezeOptions options;
  options.helper.command = {"/bin/false"};
  EXPECT_EQ(fault_of_action([&] { Freeze(test.domain(), options); }), base::Fault::unavailable);
  EXPECT_EQ(test.guest.freeze_status(), "thawed");
}

}  // namespace
}  // namespace icecore::hypervisor
