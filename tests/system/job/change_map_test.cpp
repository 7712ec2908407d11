// SPDX-License-Identifier: Apache-2.0
// Increments by bitmap: whatever happened between two points, the second one restores to what the disk was.
#include <gtest/gtest.h>
#include <libvirt/libvirt.h>

#include <fstream>

#include "base/process.hpp"
#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

constexpr std::uint64_t k_kib = 1024;
constexpr std::uint64_t k_mib = 1024 * k_kib;
constexpr std::uint64_t k_block = 64 * k_kib;
// Blocks that are compared with the point before are read as well.
constexpr std::uint64_t k_recheck_max = 16 * k_block;

void tool(std::vector<std::string> arguments) {
  base::run_checked({.arguments = std::move(arguments)}, std::chrono::minutes(1));
}

class ChangeMap : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }

  // With some data, running.
  static void begin(ProtectedDomain& subject) {
    subject.init();
    subject.domain.start_paused();
    subject.domain.monitor_write("vda", 0, 4 * k_mib, 0x11);
  }
  static void write(ProtectedDomain& subject, std::uint64_t offset, unsigned char pattern,
                    std::uint64_t length = k_block) {
    subject.domain.monitor_write("vda", offset, length, pattern);
  }
  // The disk's record of a new point, which restores to what the disk is now.
  static base::Json back_up(ProtectedDomain& subject, std::vector<std::string> more = {}) {
    const std::string expected = subject.domain.hash_disk();
    std::vector<std::string> arguments = {"backup", subject.domain.name(), "--quiesce=off"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    subject.must(arguments);
    EXPECT_EQ(subject.restored_hash("latest"), expected);
    subject.expect_at_rest();
    return newest(subject);
  }
  static base::Json newest(ProtectedDomain& subject) {
    return subject.must({"show", "latest", "--json"}).json().at("disks").at(0);
  }
  static void expect_bitmap(const base::Json& disk, std::uint64_t changed) {
    EXPECT_EQ(disk.at("change_map"), "bitmap") << disk.dump();
    EXPECT_LE(disk.at("bytes_read").get<std::uint64_t>(), changed + k_recheck_max) << disk.dump();
  }
  static void expect_scan(const base::Json& disk, const std::string& reason) {
    EXPECT_EQ(disk.at("change_map"), "scan") << disk.dump();
    EXPECT_NE(disk.at("change_map_reason").get<std::string>().find(reason), std::string::npos) << disk.dump();
  }
  static std::vector<std::string> bitmaps(ProtectedDomain& subject) {
    const std::string out =
        base::run_checked({.arguments = {"qemu-img", "info", "-U", "--output=json", subject.domain.disk_path()}},
                          std::chrono::minutes(1));
    std::vector<std::string> names;
    const base::Json info = base::parse_json(out, "qemu-img info");
    for (const base::Json& bitmap : info.at("format-specific").at("data").value("bitmaps", base::Json::array()))
      names.push_back(bitmap.at("name"));
    return names;
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
}

TEST_F(ChangeMap, ADomainUndefinedAndDefinedAgainGoesOn) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  write(subject, 16 * k_mib, 0x66);
  const std::string xml = subject.domain.inactive_xml();
  subject.domain.destroy();
  ASSERT_EQ(virDomainUndefine(subject.domain.handle()), 0);
  subject.domain.reconnect();
  subject.domain.start_paused();
  expect_bitmap(back_up(subject), k_block);
}

TEST_F(ChangeMap, ADiskThatWasLeftOutIsReadInFullWhileTheOtherIsNot) {
  rig::DomainOptions options;
  options.disks = {{.target = "vda"}, {.target = "vdb"}};
  ProtectedDomain subject(options);
  begin(subject);
  back_up(subject, {"--disk", "vda"});
  subject.domain.monitor_write("vdb", 0, k_mib, 0x77);
  expect_bitmap(back_up(subject), 0);
  const base::Json disks = subject.must({"show", "latest", "--json"}).json().at("disks");
  expect_scan(disks.at(1), "first point of this disk");
  EXPECT_EQ(subject.restored_hash("latest", "vdb"), subject.domain.hash_disk("vdb"));
}

TEST_F(ChangeMap, AGrownDiskIsReadBehindItsOldEnd) {
  ProtectedDomain subject({.disks = {{.image = {.size = 32 * k_mib + 12 * k_kib}}}});
  begin(subject);
  write(subject, 32 * k_mib, 0x21, 12 * k_kib);
  back_up(subject);
  subject.domain.destroy();
  tool({"qemu-img", "resize", subject.domain.disk_path(), "48M"});
  subject.domain.start_paused();
  write(subject, 40 * k_mib, 0x66);
  expect_bitmap(back_up(subject), 2 * k_block);
}

// No bitmap tells of what was cut off.
TEST_F(ChangeMap, ADiskCutAndGrownAgainIsReadInFull) {
  ProtectedDomain subject;
  begin(subject);
  write(subject, 40 * k_mib, 0x66);
  back_up(subject);
  subject.domain.destroy();
  tool({"qemu-img", "resize", "--shrink", subject.domain.disk_path(), "32M"});
  tool({"qemu-img", "resize", subject.domain.disk_path(), "64M"});
  subject.domain.start_paused();
  expect_scan(back_up(subject), "cannot be trusted");
}

TEST_F(ChangeMap, ASmallerDiskIsReadInFull) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  subject.domain.destroy();
  tool({"qemu-img", "resize", "--shrink", subject.domain.disk_path(), "32M"});
  subject.domain.start_paused();
  expect_scan(back_up(subject), "smaller");
}

TEST_F(ChangeMap, ASwappedImageIsReadInFull) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  subject.domain.destroy();
  const std::string path = subject.domain.disk_path();
  // As a copy has it: with the bitmap.
  std::filesystem::copy_file(path, path + ".copy");
  tool({"qemu-io", "-c", "write -P 9 8M 64k", path + ".copy"});
  std::filesystem::rename(path + ".copy", path);
  subject.domain.start_paused();
  expect_scan(back_up(subject), "not the same");
}

TEST_F(ChangeMap, ABackingFileThatWasWrittenToMeansAScan) {
  rig::TestFolder templates;
  const auto golden = templates.path() / "golden.qcow2";
  rig::make_image(golden, {});
  ProtectedDomain subject({.disks = {{.image = {.backing = golden}}}});
  begin(subject);
  back_up(subject);
  write(subject, 16 * k_mib, 0x66);
  expect_bitmap(back_up(subject), k_block);
  subject.domain.destroy();
  tool({"qemu-io", "-c", "write -P 9 48M 64k", golden});
  subject.domain.start_paused();
  expect_scan(back_up(subject), "not the same");
}

TEST_F(ChangeMap, OfflineBackupsInBetweenAreIncrementsToo) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  write(subject, 16 * k_mib, 0x66);
  subject.domain.destroy();
  expect_bitmap(back_up(subject), k_block);
  subject.domain.start_paused();
  write(subject, 24 * k_mib, 0x67);
  expect_bitmap(back_up(subject), 2 * k_block);
}

TEST_F(ChangeMap, AGuestStartedDuringAnOfflineBackupLosesNothing) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  subject.domain.destroy();
  rig::IcecoreRun run(subject.with_options({"backup", subject.domain.name()}),
                      {{"ICECORE_FAILPOINTS", "backup.fact.reading=pause"}});
  run.wait_failpoint();
  subject.domain.start_paused();
  write(subject, 20 * k_mib, 0x55);
  run.go_on();
  ASSERT_EQ(run.wait().exit_code, 0);
  expect_bitmap(back_up(subject), k_block);
}

TEST_F(ChangeMap, AGuestStoppedDuringABackupLosesNothing) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  rig::IcecoreRun run(subject.with_options({"backup", subject.domain.name()}),
                      {{"ICECORE_FAILPOINTS", "backup.fact.reading=pause"}});
  run.wait_failpoint();
  write(subject, 20 * k_mib, 0x55);
  subject.domain.kill_qemu();
  run.go_on();
  ASSERT_EQ(run.wait().exit_code, 0);
  subject.domain.start_paused();
  expect_bitmap(back_up(subject), k_block);
}

TEST_F(ChangeMap, TwoRepositoriesHaveLinesOfTheirOwn) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  write(subject, 16 * k_mib, 0x66);
  subject.url = subject.domain.folder() / "second";
  subject.must({"init"});
  expect_scan(back_up(subject), "first point");
  write(subject, 24 * k_mib, 0x67);
  expect_bitmap(back_up(subject), k_block);
  subject.url = "";
  expect_bitmap(back_up(subject), 2 * k_block);
  EXPECT_EQ(bitmaps(subject).size(), 2U);
}

TEST_F(ChangeMap, ARestoreOverTheDomainMeansAScan) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  write(subject, 16 * k_mib, 0x66);
  back_up(subject);
  subject.domain.destroy();
  subject.must({"restore", subject.points().at(0), "--replace"});
  subject.domain.start_paused();
  expect_scan(back_up(subject), "not the same");
}

TEST_F(ChangeMap, AForeignBitmapStays) {
  ProtectedDomain subject;
  begin(subject);
  subject.domain.destroy();
  tool({"qemu-img", "bitmap", "--add", subject.domain.disk_path(), "somebodys"});
  subject.domain.start_paused();
  back_up(subject);
  back_up(subject);
  EXPECT_EQ(bitmaps(subject).size(), 2U);
}

TEST_F(ChangeMap, ASnapshotOfTheUsersMeansAScan) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  const std::string xml = "<domainsnapshot><disks><disk name='vda' snapshot='external'><source file='" +
                          (subject.domain.folder() / "users.qcow2").string() + "'/></disk></disks></domainsnapshot>";
  const auto snapshot =
      virDomainSnapshotCreateXML(subject.domain.handle(), xml.c_str(),
                                 VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA);
  ASSERT_NE(snapshot, nullptr);
  virDomainSnapshotFree(snapshot);
  write(subject, 16 * k_mib, 0x66);
  const std::string expected = subject.domain.hash_disk();
  subject.must({"backup", subject.domain.name()});
  EXPECT_EQ(subject.restored_hash("latest"), expected);
  expect_scan(newest(subject), "the disk was '");
}

TEST_F(ChangeMap, AnImageWithInternalSnapshotsGetsNoBitmapAndLosesIts) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  subject.domain.destroy();
  tool({"qemu-img", "snapshot", "-c", "users", subject.domain.disk_path()});
  subject.domain.start_paused();
  expect_scan(back_up(subject), "internal snapshots");
  subject.domain.destroy();
  EXPECT_TRUE(bitmaps(subject).empty());
  EXPECT_NO_THROW(tool({"qemu-img", "snapshot", "-a", "users", subject.domain.disk_path()}));
}

TEST_F(ChangeMap, ABitmapThatLiesIsFoundOut) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  write(subject, k_mib, 0x66);
  subject.domain.destroy();
  tool({"qemu-img", "bitmap", "--clear", subject.domain.disk_path(), bitmaps(subject).at(0)});
  subject.domain.start_paused();
  expect_scan(back_up(subject, {"--recheck=1000"}), "cannot be trusted");
}

TEST_F(ChangeMap, RawDisksAreScanned) {
  ProtectedDomain subject({.disks = {{.image = {.format = "raw"}}}});
  begin(subject);
  back_up(subject);
  expect_scan(back_up(subject), "raw has no bitmaps");
}

TEST_F(ChangeMap, APruneInBetweenKeepsWhatTheNextPointShares) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  write(subject, 0, 0x31, 2 * k_mib);
  back_up(subject);
  subject.must({"forget", subject.points().at(0)});
  subject.must({"prune"});
  write(subject, 16 * k_mib, 0x66);
  expect_bitmap(back_up(subject), k_block);
  subject.must({"verify"});
}

// The point it counts from goes, and its blocks with it, while the next one is being made.
TEST_F(ChangeMap, APruneOfTheParentMeanwhileTakesNothingFromThePoint) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  rig::IcecoreRun run(subject.with_options({"backup", subject.domain.name()}),
                      {{"ICECORE_FAILPOINTS", "backup.fact.reading=pause"}});
  run.wait_failpoint();
  subject.must({"forget", subject.points().at(0), "--even-last"});
  subject.must({"prune"});
  run.go_on();
  ASSERT_EQ(run.wait().exit_code, 0);
  EXPECT_EQ(newest(subject).at("change_map"), "bitmap");
  subject.must({"prune"});
  subject.must({"verify"});
  EXPECT_EQ(subject.restored_hash("latest"), subject.domain.hash_disk());
}

}  // namespace
}  // namespace icecore::system_test
