// SPDX-License-Identifier: Apache-2.0
// Increments by bitmap: whatever became of the backups before, a point restores to what the disk was.
#include "system/job/change_map_case.hpp"

namespace icecore::system_test {
namespace {

class ChangeMap : public ChangeMapCase {
 protected:
  // A command about the one bitmap.
  static void tell_qemu(ProtectedDomain& subject, const std::string& command) {
    const std::string name = bitmaps(subject).at(0);
    for (const base::Json& block : subject.domain.monitor({{"execute", "query-block"}})) {
      if (!block.contains("inserted") || block.at("inserted").value("dirty-bitmaps", base::Json::array()).empty())
        continue;
      const base::Json bitmap = {{"node", block.at("inserted").at("node-name")}, {"name", name}};
      subject.domain.monitor({{"execute", command}, {"arguments", bitmap}});
      return;
    }
    FAIL() << "QEMU has no bitmap";
  }
};

TEST_F(ChangeMap, ASecondPointReadsOnlyWhatWasWritten) {
  ProtectedDomain subject;
  begin(subject);
  expect_scan(back_up(subject), "first point");
  write(subject, 16 * k_mib, 0x22);
  write(subject, 2 * k_mib, 0x33);
  const base::Json second = back_up(subject);
  expect_bitmap(second, 2 * k_block);
  EXPECT_LT(second.at("bytes_new"), 3 * k_block);  // the two, and a node of the tree
  expect_bitmap(back_up(subject), 0);
  write(subject, 0, 0x44);
  expect_bitmap(back_up(subject), k_block);
}

TEST_F(ChangeMap, ABitmapThatIsAskedForIsUsedOrItsAbsenceTold) {
  ProtectedDomain subject;
  begin(subject);
  const std::vector<std::string> words = {"backup", subject.domain.name(), "--quiesce=off", "--change-map=bitmap"};
  EXPECT_NE(subject.must(words).error_output.find("disk 'vda' was read in full"), std::string::npos);
  write(subject, 16 * k_mib, 0x22);
  expect_bitmap(back_up(subject, {"--change-map=bitmap"}), k_block);
}

// QEMU lets go of the images while it saves the memory, and takes their bitmaps up again.
TEST_F(ChangeMap, WhatIsWrittenAfterAPointWithMemoryIsInTheNext) {
  ICECORE_NEEDS("guest");
  ProtectedDomain subject;
  subject.init();
  subject.domain.start();
  back_up(subject);
  for (unsigned char pattern = 0x21; pattern < 0x24; ++pattern) {
    write(subject, pattern * k_mib, pattern);
    back_up(subject, {"--full-state"});
    write(subject, pattern * k_mib / 2, pattern);
    expect_bitmap(back_up(subject), k_block);
  }
}

TEST_F(ChangeMap, WhatBecameZeroIsZero) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  write(subject, k_mib, 0, k_mib);
  expect_bitmap(back_up(subject), k_mib);
}

TEST_F(ChangeMap, DiscardedBlocksAreZero) {
  ProtectedDomain subject({.disks = {{.image = {}}}});
  begin(subject);
  back_up(subject);
  subject.domain.destroy();
  tool({"qemu-io", "-d", "unmap", "-c", "discard 0 4M", subject.domain.disk_path()});
  subject.domain.start_paused();
  expect_bitmap(back_up(subject), 4 * k_mib);
}

TEST_F(ChangeMap, WhatIsWrittenDuringABackupIsInTheNext) {
  ProtectedDomain subject;
  begin(subject);
  rig::IcecoreRun run(subject.with_options({"backup", subject.domain.name()}),
                      {{"ICECORE_FAILPOINTS", "backup.fact.reading=pause"}});
  run.wait_failpoint();
  write(subject, 20 * k_mib, 0x55);
  run.go_on();
  ASSERT_EQ(run.wait().exit_code, 0);
  expect_bitmap(back_up(subject), k_block);
}

TEST_F(ChangeMap, AKilledBackupLosesNothing) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  for (const char* place : {"backup.fact.planned", "backup.fact.snapshotted", "backup.fact.reading"}) {
    write(subject, 16 * k_mib, 0x66);
    subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", std::string(place) + "=kill"}});
    write(subject, 24 * k_mib, 0x67);
    subject.must({"recover"});
    expect_bitmap(back_up(subject), 2 * k_block);
    EXPECT_EQ(bitmaps(subject).size(), 1U) << place;
  }
}

TEST_F(ChangeMap, ABackupThatFailedLosesNothingAndLeavesNoBitmap) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  const auto before = bitmaps(subject);
  write(subject, 16 * k_mib, 0x66);
  subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "backup.acted.reading=error"}});
  subject.domain.destroy();
  EXPECT_EQ(bitmaps(subject), before);
  subject.domain.start_paused();
  expect_bitmap(back_up(subject), k_block);
}

// Also one that is published by a recovery.
TEST_F(ChangeMap, APointPublishedByARecoveryIsAParent) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  write(subject, 16 * k_mib, 0x66);
  subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "backup.fact.sealed=kill"}});
  write(subject, 24 * k_mib, 0x67);
  subject.must({"recover"});
  ASSERT_EQ(subject.points().size(), 2U);
  expect_bitmap(back_up(subject), k_block);
}

TEST_F(ChangeMap, AForgottenParentMeansAScan) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  back_up(subject, {"--change-map=scan"});
  const auto points = subject.points();
  subject.must({"forget", points.at(0)});
  write(subject, 16 * k_mib, 0x66);
  expect_scan(back_up(subject), "left no bitmap");
}

TEST_F(ChangeMap, AScanInBetweenDoesNotEndTheLine) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  write(subject, 16 * k_mib, 0x66);
  expect_scan(back_up(subject, {"--change-map=scan"}), "asked for");
  write(subject, 24 * k_mib, 0x66);
  expect_bitmap(back_up(subject), 2 * k_block);
}

TEST_F(ChangeMap, ACopyInBetweenLeavesTheLineAsItIs) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  const auto before = bitmaps(subject);
  write(subject, 16 * k_mib, 0x66);
  expect_bitmap(back_up(subject, {"--mode=copy"}), k_block);
  EXPECT_EQ(bitmaps(subject), before);
  write(subject, 24 * k_mib, 0x67);
  expect_bitmap(back_up(subject), 2 * k_block);
  EXPECT_EQ(bitmaps(subject).size(), 1U);
}

TEST_F(ChangeMap, ARemovedBitmapMeansAScan) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  subject.domain.destroy();
  tool({"qemu-img", "bitmap", "--remove", subject.domain.disk_path(), bitmaps(subject).at(0)});
  subject.domain.start_paused();
  write(subject, 16 * k_mib, 0x66);
  expect_scan(back_up(subject), "is gone");
  expect_bitmap(back_up(subject), 0);
}

TEST_F(ChangeMap, OneRemovedInTheRunningQemuMeansAScan) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  tell_qemu(subject, "block-dirty-bitmap-remove");
  write(subject, 16 * k_mib, 0x66);
  expect_scan(back_up(subject), "is gone");
  expect_bitmap(back_up(subject), 0);
}

TEST_F(ChangeMap, OneSwitchedOffInTheRunningQemuMeansAScan) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  tell_qemu(subject, "block-dirty-bitmap-disable");
  write(subject, 16 * k_mib, 0x66);
  expect_scan(back_up(subject), "switched off");
  EXPECT_EQ(bitmaps(subject).size(), 1U);
  expect_bitmap(back_up(subject), 0);
}

TEST_F(ChangeMap, AKilledQemuMeansAScan) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  write(subject, 16 * k_mib, 0x66);
  subject.domain.kill_qemu();
  subject.domain.start_paused();
  expect_scan(back_up(subject), "inconsistent");
  EXPECT_EQ(bitmaps(subject).size(), 1U);
  expect_bitmap(back_up(subject), 0);
  tool({"virsh", "-q", "blockresize", subject.domain.name(), "vda",
        "96M"});  // what an inconsistent one is in the way of
}

// QEMU grows no image with an inconsistent bitmap, and so merges nothing into it that is larger.
TEST_F(ChangeMap, AKilledQemusBitmapIsNotInTheWayOfADiskThatGrows) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  subject.domain.kill_qemu();
  subject.domain.start_paused();
  rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name(), "--quiesce=off"}),
                         {{"ICECORE_FAILPOINTS", "backup.intent.reading=pause"}});
  backup.wait_failpoint();
  tool({"virsh", "-q", "blockresize", subject.domain.name(), "vda", "96M"});
  write(subject, 90 * k_mib, 0x67);
  backup.go_on();
  EXPECT_EQ(backup.wait().exit_code, 10) << "resized while it was read";
  subject.expect_at_rest();
  back_up(subject);
}

}  // namespace
}  // namespace icecore::system_test
