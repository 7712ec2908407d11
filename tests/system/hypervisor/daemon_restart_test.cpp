// SPDX-License-Identifier: Apache-2.0
// libvirt's daemon stops, dies and hangs under us. Block jobs live in QEMU and go on; what we know is read again.
#include <signal.h>

#include <thread>

#include "hypervisor/freeze.hpp"
#include "rig/guest.hpp"
#include "rig/private_libvirt.hpp"
#include "system/hypervisor/hypervisor_case.hpp"

namespace icecore::hypervisor {
namespace {

using base::Fault;
using base::k_mib;
using base::Milliseconds;
using std::chrono::seconds;

class HypervisorDaemon : public testing::Test {
 protected:
  void SetUp() override {
    ICECORE_NEEDS("libvirt", "qemu", "guest");
    ::signal(SIGPIPE, SIG_IGN);  // as the program has it: libvirt tells a daemon that hangs that we leave
    libvirt.emplace();
  }
  rig::DomainOptions on_it(rig::DomainOptions options = {}) const {
    options.uri = libvirt->uri();
    return options;
  }
  std::optional<rig::PrivateLibvirt> libvirt;
};

TEST_F(HypervisorDaemon, ADomainIsFoundAgainAfterARestart) {
  Case test(on_it());
  test.rig.start_paused();
  const std::string path = test.domain().model().find_disk("vda")->source.path;
  for (const bool violent : {false, true}) {
    if (violent) {
      libvirt->kill();
      libvirt->start();
    } else {
      libvirt->restart();
    }
    EXPECT_EQ(test.domain().state(), DomainState::paused);
    EXPECT_EQ(test.domain().model().find_disk("vda")->source.path, path);
    EXPECT_EQ(test.connection.domains().size(), 1U);
  }
  // Events come again, too.
  test.connection.wait_for_event(Milliseconds(1), {});
  const base::Stopwatch watch;
  test.domain().resume();
  test.connection.wait_for_event(seconds(60), {});
  EXPECT_LT(watch.elapsed(), seconds(30));
}

TEST_F(HypervisorDaemon, ACommitGoesOnAfterARestart) {
  Case test(on_it());
  test.rig.start_paused();
  create_snapshot(test.domain(), {test.overlay()}, snapshot_options());
  test.rig.monitor_write("vda", 0, 4 * k_mib, 0x42);
  const std::string written = test.rig.hash_disk();
  CommitOptions options = commit_options();
  options.bandwidth_bytes = 512 * 1024;
  int seen = 0;
  const auto disturb = [&](std::uint64_t, std::uint64_t) {
    ++seen;
    if (seen == 2) libvirt->restart();
    if (seen == 5) {
      libvirt->kill();
      libvirt->start();
    }
  };
  const CommitReport report = commit_overlays(test.domain(), std::vector{test.overlay()}, options, {}, disturb);
  EXPECT_GE(seen, 5);
  EXPECT_EQ(report.outcome, CommitOutcome::committed);
  test.rig.reconnect();
  EXPECT_EQ(place_of(test.domain().model(), test.overlay()), DiskPlace::on_base);
  EXPECT_EQ(place_of(test.domain().inactive_model(), test.overlay()), DiskPlace::on_base);
  EXPECT_EQ(rig::content_hash(test.rig.disk_path(), "qcow2"), written);
}

TEST_F(HypervisorDaemon, AFrozenGuestIsThawedOverANewConnection) {
  rig::DomainOptions options = on_it();
  options.disks[0].image.file_system = true;
  Case test(options);
  test.rig.start();
  rig::Guest guest(test.rig);
  guest.wait_agent();
  FreezeOptions freeze_options;
  freeze_options.helper = internal_program();
  Freeze freeze(test.domain(), freeze_options);
  ASSERT_EQ(freeze.freeze().state, FreezeState::frozen);
  libvirt->kill();
  libvirt->start();
  const ThawReport thawed = freeze.thaw();
  EXPECT_TRUE(thawed.thawed) << thawed.reason;
  test.rig.reconnect();
  guest.wait_agent();
  EXPECT_EQ(guest.freeze_status(), "thawed");
}

TEST_F(HypervisorDaemon, ADaemonThatIsGoneIsUnavailableInTime) {
  Connection connection(libvirt->uri(), {.reconnect_deadline = seconds(1)});
  EXPECT_TRUE(connection.domains().empty());
  libvirt->stop();
  const base::Stopwatch watch;
  EXPECT_EQ(fault_of_action([&] { connection.domains(); }), Fault::unavailable);
  EXPECT_LT(watch.elapsed(), seconds(20));
}

TEST_F(HypervisorDaemon, ADaemonThatHangsLaterIsUnavailableInTime) {
  Connection connection(
      libvirt->uri(),
      {.open_deadline = seconds(1), .reconnect_deadline = seconds(1), .keepalive_seconds = 1, .keepalive_misses = 2});
  EXPECT_TRUE(connection.domains().empty());
  ::kill(libvirt->pid(), SIGSTOP);
  const base::Stopwatch watch;
  EXPECT_EQ(fault_of_action([&] { connection.domains(); }), Fault::unavailable);
  EXPECT_LT(watch.elapsed(), seconds(30));
  ::kill(libvirt->pid(), SIGCONT);
  EXPECT_TRUE(connection.domains().empty()) << "and it is found again";
}

TEST_F(HypervisorDaemon, AHungDaemonIsUnavailableInTime) {
  ::kill(libvirt->pid(), SIGSTOP);
  const base::Stopwatch watch;
  EXPECT_EQ(fault_of_action([&] { Connection(libvirt->uri(), {.open_deadline = seconds(1)}); }), Fault::unavailable);
  EXPECT_LT(watch.elapsed(), seconds(20));
  ::kill(libvirt->pid(), SIGCONT);
}

}  // namespace
}  // namespace icecore::hypervisor
