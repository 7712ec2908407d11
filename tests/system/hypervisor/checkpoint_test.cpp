// SPDX-License-Identifier: Apache-2.0
// Bitmaps in a real libvirt and QEMU, through snapshots, commits, crashes and by-standers. What these tests find is
// what the choice of a change map relies on.
#include "hypervisor/checkpoint.hpp"

#include "disk/dirty_bitmap.hpp"
#include "disk/offline_commit.hpp"
#include "system/hypervisor/hypervisor_case.hpp"

namespace icecore::hypervisor {
namespace {

using base::k_kib;
using base::k_mib;
using Extents = std::vector<disk::Extent>;

class HypervisorCheckpoint : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("libvirt", "qemu", "guest"); }
};

CheckpointOptions checkpoint_options() { return {.helper = internal_program()}; }

disk::ImageInfo image(Case& test, const std::string& target = "vda") {
  return disk::inspect_image(test.rig.disk_path(target), "qcow2");
}
std::string problem(Case& test, const std::string& bitmap, const std::string& target = "vda") {
  return disk::bitmap_problem(image(test, target), bitmap);
}
Extents dirty(Case& test, const std::string& bitmap, const std::string& target = "vda") {
  return disk::read_dirty_bitmap(image(test, target), bitmap, 64 * k_kib, {});
}
int checkpoints_known(Case& test) { return virDomainListAllCheckpoints(test.rig.handle(), nullptr, 0); }

// From the bitmap's birth to a frozen base.
void write_and_freeze(Case& test, const std::string& run = "r1") {
  test.rig.monitor_write("vda", 4 * k_mib, 64 * k_kib, 0x44);
  create_snapshot(test.domain(), {test.overlay("vda", run)}, snapshot_options());
}

TEST_F(HypervisorCheckpoint, ItsBitmapTellsWhatWasWrittenSince) {
  Case test;
  test.rig.start_paused();
  test.rig.monitor_write("vda", 0, 64 * k_kib, 0x11);
  Checkpoints(test.domain(), checkpoint_options()).create("ours-1", {"vda"});
  write_and_freeze(test);
  EXPECT_EQ(problem(test, "ours-1"), "");
  EXPECT_EQ(dirty(test, "ours-1"), (Extents{{4 * k_mib, 64 * k_kib}}));
}

// What the guest writes while its disk is read has to be in the next increment.
TEST_F(HypervisorCheckpoint, ACommitBringsWhatWasWrittenMeanwhileIntoTheBase) {
  Case test;
  test.rig.start_paused();
  Checkpoints(test.domain(), checkpoint_options()).create("ours-1", {"vda"});
  write_and_freeze(test);
  test.rig.monitor_write("vda", 8 * k_mib, 64 * k_kib, 0x55);
  commit_overlays(test.domain(), {{test.overlay()}}, commit_options(), {}, {});
  create_snapshot(test.domain(), {test.overlay("vda", "r2")}, snapshot_options());
  EXPECT_EQ(dirty(test, "ours-1"), (Extents{{4 * k_mib, 64 * k_kib}, {8 * k_mib, 64 * k_kib}}));
}

TEST_F(HypervisorCheckpoint, AnOfflineCommitMarksWhatItWrites) {
  Case test;
  test.rig.start_paused();
  Checkpoints(test.domain(), checkpoint_options()).create("ours-1", {"vda"});
  write_and_freeze(test);
  test.rig.monitor_write("vda", 8 * k_mib, 64 * k_kib, 0x55);
  test.rig.destroy();
  disk::commit_offline(test.overlay().overlay_path, test.overlay().base_path, "qcow2", std::chrono::minutes(1));
  EXPECT_EQ(dirty(test, "ours-1"), (Extents{{4 * k_mib, 64 * k_kib}, {8 * k_mib, 64 * k_kib}}));
}

// The overlay has no bitmap: its domain was off when it was made.
TEST_F(HypervisorCheckpoint, AnOverlayMadeWhileOffIsMarkedWhenItIsCommittedLive) {
  Case test;
  test.rig.start_paused();
  Checkpoints(test.domain(), checkpoint_options()).create("ours-1", {"vda"});
  test.rig.destroy();
  create_snapshot(test.domain(), {test.overlay()}, snapshot_options());
  test.rig.start_paused();
  test.rig.monitor_write("vda", 8 * k_mib, 64 * k_kib, 0x55);
  commit_overlays(test.domain(), {{test.overlay()}}, commit_options(), {}, {});
  test.rig.destroy();
  EXPECT_EQ(dirty(test, "ours-1"), (Extents{{8 * k_mib, 64 * k_kib}}));
}

// The overlay's own copy of the bitmap is lost with QEMU; the base's is whole.
TEST_F(HypervisorCheckpoint, AKillOnTheOverlayLosesNothing) {
  Case test;
  test.rig.start_paused();
  Checkpoints(test.domain(), checkpoint_options()).create("ours-1", {"vda"});
  write_and_freeze(test);
  test.rig.monitor_write("vda", 8 * k_mib, 64 * k_kib, 0x55);
  test.rig.kill_qemu();
  test.rig.start_paused();
  commit_overlays(test.domain(), {{test.overlay()}}, commit_options(), {}, {});
  test.rig.destroy();
  EXPECT_EQ(dirty(test, "ours-1"), (Extents{{4 * k_mib, 64 * k_kib}, {8 * k_mib, 64 * k_kib}}));
}

TEST_F(HypervisorCheckpoint, AKillOnTheBaseMakesTheBitmapInconsistentAndItCanBeRemoved) {
  Case test;
  test.rig.start_paused();
  Checkpoints checkpoints(test.domain(), checkpoint_options());
  checkpoints.create("ours-1", {"vda"});
  write_and_freeze(test);
  commit_overlays(test.domain(), {{test.overlay()}}, commit_options(), {}, {});
  test.rig.kill_qemu();
  EXPECT_NE(problem(test, "ours-1").find("inconsistent"), std::string::npos);
  test.rig.start_paused();
  checkpoints.create("ours-2", {"vda"});
  checkpoints.discard("ours-1", {"vda"});
  test.rig.destroy();
  EXPECT_NE(problem(test, "ours-1").find("gone"), std::string::npos);
  EXPECT_EQ(problem(test, "ours-2"), "");
}

TEST_F(HypervisorCheckpoint, LibvirtKnowsNothingOfIt) {
  Case test;
  test.rig.start_paused();
  Checkpoints checkpoints(test.domain(), checkpoint_options());
  checkpoints.create("ours-1", {"vda"});
  EXPECT_EQ(checkpoints_known(test), 0);
  test.rig.destroy();
  ASSERT_EQ(virDomainUndefine(test.rig.handle()), 0);
}

TEST_F(HypervisorCheckpoint, AForeignCheckpointStaysTheCurrentOne) {
  Case test;
  test.rig.start_paused();
  const std::string foreign = checkpoint_xml(test.domain().model(), "foreign", {"vda"});
  virDomainCheckpointPtr made = virDomainCheckpointCreateXML(test.rig.handle(), foreign.c_str(), 0);
  ASSERT_NE(made, nullptr);
  virDomainCheckpointFree(made);
  Checkpoints checkpoints(test.domain(), checkpoint_options());
  checkpoints.create("ours-1", {"vda"});
  checkpoints.discard("ours-1", {"vda"});
  checkpoints.forget("ours-");
  EXPECT_EQ(checkpoints_known(test), 1);
  test.rig.destroy();
  EXPECT_EQ(problem(test, "foreign"), "");
}

TEST_F(HypervisorCheckpoint, TakesOnlyTheDisksItIsGiven) {
  rig::DomainOptions options;
  options.disks = {{.target = "vda"}, {.target = "vdb"}, {.target = "vdc"}};
  options.disks[2].image.format = "raw";
  Case test(options);
  test.rig.start_paused();
  Checkpoints(test.domain(), checkpoint_options()).create("ours-1", {"vdb"});
  test.rig.destroy();
  EXPECT_NE(problem(test, "ours-1", "vda"), "");
  EXPECT_EQ(problem(test, "ours-1", "vdb"), "");
}

TEST_F(HypervisorCheckpoint, WhatAKillLeftIsForgottenAndItsBitmapStays) {
  Case test;
  test.rig.start_paused();
  const std::string left = checkpoint_xml(test.domain().model(), "ours-1", {"vda"});
  virDomainCheckpointPtr made = virDomainCheckpointCreateXML(test.rig.handle(), left.c_str(), 0);
  ASSERT_NE(made, nullptr);
  virDomainCheckpointFree(made);
  test.rig.destroy();
  Checkpoints(test.domain(), checkpoint_options()).forget("ours-");
  EXPECT_EQ(checkpoints_known(test), 0);
  EXPECT_EQ(problem(test, "ours-1"), "");
}

TEST_F(HypervisorCheckpoint, ATakenNameIsRefused) {
  Case test;
  test.rig.start_paused();
  Checkpoints checkpoints(test.domain(), checkpoint_options());
  checkpoints.create("ours-1", {"vda"});
  EXPECT_ANY_THROW(checkpoints.create("ours-1", {"vda"}));
  EXPECT_EQ(checkpoints_known(test), 0);
}

TEST_F(HypervisorCheckpoint, DiscardingWhatIsNotThereIsAnErrorAndLeavesNothing) {
  Case test;
  test.rig.start_paused();
  Checkpoints checkpoints(test.domain(), checkpoint_options());
  EXPECT_THAT(error_of_action([&] { checkpoints.discard("ours-1", {"vda"}); }),
              testing::Not(testing::HasSubstr("no reason")));
  EXPECT_EQ(checkpoints_known(test), 0);
}

}  // namespace
}  // namespace icecore::hypervisor
