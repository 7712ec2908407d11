// SPDX-License-Identifier: Apache-2.0
// Commits in a real libvirt and QEMU; the vCPUs never run, writes go through QEMU's block layer.
#include "hypervisor/block_commit.hpp"

#include <signal.h>
#include <sys/mount.h>

#include <filesystem>

#include "base/process.hpp"
#include "hypervisor/domain_edit.hpp"
#include "system/hypervisor/hypervisor_case.hpp"

namespace icecore::hypervisor {
namespace {

using base::Fault;
using base::k_mib;

class HypervisorCommit : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("libvirt", "qemu", "guest"); }
};

rig::DomainOptions two_disks() {
  rig::DomainOptions options;
  options.disks = {{.target = "vda"}, {.target = "vdb"}};
  options.disks[1].image.format = "raw";
  return options;
}

void expect_on_base(Case& test, const std::vector<OverlayDisk>& disks) {
  for (const OverlayDisk& disk : disks) {
    EXPECT_EQ(place_of(test.domain().model(), disk), DiskPlace::on_base)
        << describe_place(test.domain().model(), disk.target);
    EXPECT_EQ(place_of(test.domain().inactive_model(), disk), DiskPlace::on_base);
  }
  EXPECT_TRUE(test.rig.block_jobs().empty());
}

// As slow as libvirt lets it be, so that a test can step in while the job runs.
CommitOptions slow_options() {
  CommitOptions options = commit_options();
  options.bandwidth_bytes = 65536;
  return options;
}

// Runs a slow commit, asks it to stop once the first progress was seen.
void interrupt_commit(Case& test, const std::vector<OverlayDisk>& disks) {
  std::stop_source stop;
  const auto stop_soon = [&](std::uint64_t, std::uint64_t total) {
    if (total > 0) stop.request_stop();
  };
  EXPECT_EQ(
      fault_of_action([&] { commit_overlays(test.domain(), disks, slow_options(), stop.get_token(), stop_soon); }),
      Fault::cancelled);
}

TEST_F(HypervisorCommit, BringsEveryDiskBack) {
  Case test(two_disks());
  test.rig.start_paused();
  const std::vector<OverlayDisk> disks = {test.overlay("vda"), test.overlay("vdb")};
  create_snapshot(test.domain(), disks, snapshot_options());
  test.rig.monitor_write("vda", k_mib, k_mib, 0x11);
  test.rig.monitor_write("vdb", 3 * k_mib, k_mib, 0x22);
  const std::string vda = test.rig.hash_disk("vda");
  const std::string vdb = test.rig.hash_disk("vdb");
  const CommitReport report = commit_overlays(test.domain(), disks, commit_options());
  EXPECT_EQ(report.outcome, CommitOutcome::committed);
  EXPECT_FALSE(report.joined);
  EXPECT_FALSE(report.persistent_was_repaired);
  expect_on_base(test, disks);
  EXPECT_EQ(rig::content_hash(test.rig.disk_path("vda"), "qcow2"), vda);
  EXPECT_EQ(rig::content_hash(test.rig.disk_path("vdb"), "raw"), vdb);
  // Nothing is unlinked here, and nothing needs the overlays any more.
  for (const OverlayDisk& disk : disks) EXPECT_TRUE(std::filesystem::remove(disk.overlay_path));
  test.rig.monitor_write("vda", 9 * k_mib, 4096, 0x33);
  test.rig.destroy();
  test.rig.start_paused();
}

TEST_F(HypervisorCommit, IsDoneWhenItIsDone) {
  Case test;
  test.rig.start_paused();
  const CommitReport report = commit_overlays(test.domain(), std::vector{test.overlay()}, commit_options());
  EXPECT_EQ(report.outcome, CommitOutcome::committed);
  expect_on_base(test, {test.overlay()});
}

// T4: a commit without explicit base would flatten everything into the template.
TEST_F(HypervisorCommit, LeavesTheUsersOwnLayersAlone) {
  rig::TestFolder folder;
  const std::filesystem::path bottom = folder.path() / "template.qcow2";
  rig::make_image(bottom, {});
  rig::write_pattern(bottom, "qcow2", 0, k_mib, 0x01);
  const std::filesystem::path middle = folder.path() / "middle.qcow2";
  rig::make_image(middle, {.backing = bottom});
  rig::DomainOptions options;
  options.disks[0].image.backing = middle;
  Case test(options);
  test.rig.start_paused();
  const auto bottom_time = std::filesystem::last_write_time(bottom);
  const auto middle_time = std::filesystem::last_write_time(middle);
  create_snapshot(test.domain(), {test.overlay()}, snapshot_options());
  test.rig.monitor_write("vda", k_mib, k_mib, 0x44);
  const std::string written = test.rig.hash_disk();
  commit_overlays(test.domain(), std::vector{test.overlay()}, commit_options());
  expect_on_base(test, {test.overlay()});
  EXPECT_EQ(std::filesystem::last_write_time(bottom), bottom_time);
  EXPECT_EQ(std::filesystem::last_write_time(middle), middle_time);
  const DomainModel model = test.domain().model();
  ASSERT_EQ(model.find_disk("vda")->backing.size(), 2U);
  EXPECT_EQ(model.find_disk("vda")->backing[0].path, middle);
  EXPECT_EQ(model.find_disk("vda")->backing[1].path, bottom);
  EXPECT_EQ(test.rig.hash_disk(), written);
}

TEST_F(HypervisorCommit, RefusesAnotherChainThanRecorded) {
  Case test;
  test.rig.start_paused();
  create_snapshot(test.domain(), {test.overlay()}, snapshot_options());
  // Somebody snapshots on top of our overlay.
  const OverlayDisk theirs{"vda", test.overlay().overlay_path, test.rig.folder() / "theirs.qcow2"};
  create_snapshot(test.domain(), {theirs}, snapshot_options());
  try {
    commit_overlays(test.domain(), std::vector{test.overlay()}, commit_options());
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), Fault::conflict);
    EXPECT_NE(std::string(error.what()).find("theirs.qcow2"), std::string::npos) << error.what();
  }
  EXPECT_TRUE(test.rig.block_jobs().empty());
  EXPECT_EQ(place_of(test.domain().model(), theirs), DiskPlace::on_overlay);
}

TEST_F(HypervisorCommit, InterruptedItLeavesTheOverlayAndMayBeRunAgain) {
  Case test;
  test.rig.start_paused();
  create_snapshot(test.domain(), {test.overlay()}, snapshot_options());
  test.rig.monitor_write("vda", 0, 16 * k_mib, 0x55);
  const std::string written = test.rig.hash_disk();
  interrupt_commit(test, {test.overlay()});
  // The abort is asynchronous; the next call copes with a job that is still ending.
  const CommitReport report = commit_overlays(test.domain(), std::vector{test.overlay()}, commit_options());
  EXPECT_EQ(report.outcome, CommitOutcome::committed);
  expect_on_base(test, {test.overlay()});
  EXPECT_EQ(rig::content_hash(test.rig.disk_path(), "qcow2"), written);
}

// As after a kill -9 of the process that started it.
TEST_F(HypervisorCommit, JoinsAJobThatRuns) {
  Case test;
  test.rig.start_paused();
  create_snapshot(test.domain(), {test.overlay()}, snapshot_options());
  test.rig.monitor_write("vda", 0, 4 * k_mib, 0x66);
  const OverlayDisk disk = test.overlay();
  ASSERT_EQ(virDomainBlockCommit(test.rig.handle(), "vda", disk.base_path.c_str(), nullptr, 1,
                                 VIR_DOMAIN_BLOCK_COMMIT_ACTIVE | VIR_DOMAIN_BLOCK_COMMIT_SHALLOW),
            0);
  EXPECT_EQ(place_of(test.domain().model(), disk), DiskPlace::committing);
  const CommitReport report = commit_overlays(test.domain(), std::vector{disk}, commit_options());
  EXPECT_TRUE(report.joined);
  expect_on_base(test, {disk});
}

TEST_F(HypervisorCommit, LeavesSomebodyElsesJobAlone) {
  Case test;
  test.rig.start_paused();
  create_snapshot(test.domain(), {test.overlay()}, snapshot_options());
  test.rig.monitor_write("vda", 0, 16 * k_mib, 0x77);
  const std::string xml =
      "<disk type='file'><driver type='raw'/><source file='" + (test.rig.folder() / "copy.raw").native() + "'/></disk>";
  ASSERT_EQ(virDomainBlockCopy(test.rig.handle(), "vda", xml.c_str(), nullptr, 0, VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB),
            0);
  EXPECT_EQ(fault_of_action([&] { commit_overlays(test.domain(), std::vector{test.overlay()}, commit_options()); }),
            Fault::conflict);
  EXPECT_EQ(test.rig.block_jobs().size(), 1U);
}

TEST_F(HypervisorCommit, ADomainThatStopsIsAnOutcome) {
  Case test;
  test.rig.start_paused();
  create_snapshot(test.domain(), {test.overlay()}, snapshot_options());
  test.rig.monitor_write("vda", 0, 16 * k_mib, 0x88);
  const std::string written = test.rig.hash_disk();
  bool destroyed = false;
  const auto destroy_once = [&](std::uint64_t, std::uint64_t) {
    if (!std::exchange(destroyed, true)) test.rig.kill_qemu();
  };
  const CommitReport report =
      commit_overlays(test.domain(), std::vector{test.overlay()}, slow_options(), {}, destroy_once);
  EXPECT_TRUE(destroyed);
  EXPECT_EQ(report.outcome, CommitOutcome::domain_stopped);
  EXPECT_EQ(place_of(test.domain().inactive_model(), test.overlay()), DiskPlace::on_overlay);
  // The offline way: qemu-img commit, then the XML.
  base::run_checked({.arguments = {"qemu-img", "commit", "-d", "-f", "qcow2", test.overlay().overlay_path}},
                    std::chrono::seconds(60));
  redefine_disk_source(test.domain(), "vda", test.overlay().base_path, "qcow2");
  EXPECT_EQ(place_of(test.domain().inactive_model(), test.overlay()), DiskPlace::on_base);
  EXPECT_EQ(test.rig.hash_disk(), written);
  test.rig.start_paused();
}

TEST_F(HypervisorCommit, AShutOffDomainIsAnOutcomeAtOnce) {
  Case test;
  create_snapshot(test.domain(), {test.overlay()}, snapshot_options());
  const CommitReport report = commit_overlays(test.domain(), std::vector{test.overlay()}, commit_options());
  EXPECT_EQ(report.outcome, CommitOutcome::domain_stopped);
}

TEST_F(HypervisorCommit, WorksOnATransientDomain) {
  rig::DomainOptions options;
  options.transient = true;
  Case test(options);
  test.rig.start_paused();
  EXPECT_FALSE(test.domain().persistent());
  create_snapshot(test.domain(), {test.overlay()}, snapshot_options());
  test.rig.monitor_write("vda", 0, k_mib, 0x99);
  const CommitReport report = commit_overlays(test.domain(), std::vector{test.overlay()}, commit_options());
  EXPECT_EQ(report.outcome, CommitOutcome::committed);
  EXPECT_EQ(place_of(test.domain().model(), test.overlay()), DiskPlace::on_base);
  test.rig.destroy();
  EXPECT_EQ(test.domain().state(), DomainState::gone);
  EXPECT_EQ(commit_overlays(test.domain(), std::vector{test.overlay()}, commit_options()).outcome,
            CommitOutcome::domain_stopped);
}

// libvirt forgets the persistent XML when it does not find the chain it expects there.
TEST_F(HypervisorCommit, RepairsThePersistentXml) {
  Case test;
  test.rig.start_paused();
  create_snapshot(test.domain(), {test.overlay()}, snapshot_options());
  commit_overlays(test.domain(), std::vector{test.overlay()}, commit_options());
  redefine_disk_source(test.domain(), "vda", test.overlay().overlay_path, "qcow2");
  EXPECT_EQ(place_of(test.domain().inactive_model(), test.overlay()), DiskPlace::on_overlay);
  const CommitReport report = commit_overlays(test.domain(), std::vector{test.overlay()}, commit_options());
  EXPECT_TRUE(report.persistent_was_repaired);
  expect_on_base(test, {test.overlay()});
}

// A base that cannot grow: the job fails, the guest goes on, and once there is space the commit works.
TEST_F(HypervisorCommit, SurvivesAFullBase) {
  rig::TestFolder folder;
  const std::filesystem::path small = folder.path() / "small";
  std::filesystem::create_directory(small);
  ASSERT_EQ(::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=4M,mode=0755"), 0);
  const rig::ImageOptions image;
  rig::make_image(small / "base.qcow2", image);
  rig::DomainOptions options;
  options.disks[0].existing = small / "base.qcow2";
  Case test(options);
  test.rig.start_paused();
  create_snapshot(test.domain(), {test.overlay()}, snapshot_options());
  test.rig.monitor_write("vda", 0, 16 * k_mib, 0xbb);
  const std::string written = test.rig.hash_disk();
  EXPECT_EQ(fault_of_action([&] { commit_overlays(test.domain(), std::vector{test.overlay()}, commit_options()); }),
            Fault::unavailable);
  EXPECT_EQ(place_of(test.domain().model(), test.overlay()), DiskPlace::on_overlay);
  EXPECT_EQ(test.rig.hash_disk(), written);
  ASSERT_EQ(::mount("tmpfs", small.c_str(), "tmpfs", MS_REMOUNT, "size=64M"), 0);
  commit_overlays(test.domain(), std::vector{test.overlay()}, commit_options());
  expect_on_base(test, {test.overlay()});
  EXPECT_EQ(test.rig.hash_disk(), written);
}

TEST_F(HypervisorCommit, GivesUpOnAJobThatDoesNotMove) {
  Case test;
  test.rig.start_paused();
  create_snapshot(test.domain(), {test.overlay()}, snapshot_options());
  test.rig.monitor_write("vda", 0, 16 * k_mib, 0xaa);
  CommitOptions options = slow_options();
  options.bandwidth_bytes = 1;
  options.stall_deadline = std::chrono::seconds(1);
  EXPECT_EQ(fault_of_action([&] { commit_overlays(test.domain(), std::vector{test.overlay()}, options); }),
            Fault::unavailable);
  EXPECT_EQ(test.domain().model().find_disk("vda")->source.path, test.overlay().overlay_path);
}

// A QEMU that does not answer holds every libvirt call that asks it, the one for the progress too.
TEST_F(HypervisorCommit, AQemuThatHangsDoesNotHoldUs) {
  Case test;
  test.rig.start_paused();
  create_snapshot(test.domain(), {test.overlay()}, snapshot_options());
  test.rig.monitor_write("vda", 0, 16 * k_mib, 0xbb);
  const std::string written = test.rig.hash_disk();
  const pid_t qemu = test.rig.qemu_pid();
  const base::ScopeExit wake([&] { ::kill(qemu, SIGCONT); });
  CommitOptions options = slow_options();
  options.call_deadline = std::chrono::seconds(1);
  const auto hang_soon = [&](std::uint64_t, std::uint64_t total) {
    if (total > 0) ::kill(qemu, SIGSTOP);
  };
  const base::Stopwatch watch;
  EXPECT_EQ(
      fault_of_action([&] { commit_overlays(test.domain(), std::vector{test.overlay()}, options, {}, hang_soon); }),
      Fault::busy);
  EXPECT_LT(watch.elapsed(), std::chrono::seconds(30));
  ::kill(qemu, SIGCONT);
  EXPECT_EQ(commit_overlays(test.domain(), std::vector{test.overlay()}, commit_options()).outcome,
            CommitOutcome::committed);
  expect_on_base(test, {test.overlay()});
  EXPECT_EQ(test.rig.hash_disk(), written);
}

}  // namespace
}  // namespace icecore::hypervisor
