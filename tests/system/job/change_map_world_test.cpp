// SPDX-License-Identifier: Apache-2.0
// Increments by bitmap: whatever others did to domain and disk in between, a point restores to what the disk was.
#include <libvirt/libvirt.h>

#include "system/job/change_map_case.hpp"

namespace icecore::system_test {
namespace {

class ChangeMapWorld : public ChangeMapCase {
 protected:
  static rig::DomainOptions two_disks() {
    rig::DomainOptions options;
    options.disks = {{.target = "vda"}, {.target = "sda", .bus = "scsi"}};
    return options;
  }
  // All disks, where they are now.
  static void expect_latest(ProtectedDomain& subject, const std::vector<std::string>& targets) {
    for (const std::string& target : targets)
      EXPECT_EQ(subject.restored_hash("latest", target), subject.domain.hash_disk(target)) << target;
  }
  static base::Json disk_of_latest(ProtectedDomain& subject, const std::string& target) {
    const base::Json point = subject.must({"show", "latest", "--json"}).json();
    for (const base::Json& disk : point.at("disks")) {
      if (disk.at("target") == target) return disk;
    }
    ADD_FAILURE() << "no disk " << target;
    return {};
  }
  static std::string element_of(const ProtectedDomain& subject, const std::string& target) {
    const std::string xml = subject.domain.inactive_xml();
    const std::size_t at = xml.find("<target dev='" + target + "'");
    const std::size_t from = xml.rfind("<disk ", at);
    return xml.substr(from, xml.find("</disk>", at) + 7 - from);
  }
};

TEST_F(ChangeMapWorld, ADomainUndefinedAndDefinedAgainGoesOn) {
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

TEST_F(ChangeMapWorld, ADiskThatWasLeftOutIsReadInFullWhileTheOtherIsNot) {
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

TEST_F(ChangeMapWorld, AGrownDiskIsReadBehindItsOldEnd) {
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

TEST_F(ChangeMapWorld, ADiskThatWasWrittenToWhileItWasDetachedComesBackAsItIs) {
  constexpr unsigned k_both = VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG;
  ProtectedDomain subject(two_disks());
  begin(subject);
  subject.domain.monitor_write("sda", 0, 4 * k_mib, 0x12);
  back_up(subject);
  const std::string sda = element_of(subject, "sda");
  ASSERT_EQ(virDomainDetachDeviceFlags(subject.domain.handle(), sda.c_str(), k_both), 0);
  expect_bitmap(back_up(subject), 0);
  tool({"qemu-io", "-c", "write -P 9 2M 64k", "-c", "write -P 9 20M 64k", subject.domain.disk_path("sda")});
  ASSERT_EQ(virDomainAttachDeviceFlags(subject.domain.handle(), sda.c_str(), k_both), 0);
  subject.domain.monitor_write("sda", 30 * k_mib, k_block, 0x13);
  expect_bitmap(back_up(subject), 0);
  expect_latest(subject, {"sda"});
  expect_bitmap(disk_of_latest(subject, "sda"), 3 * k_block);  // qemu-io marks what it writes
}

TEST_F(ChangeMapWorld, ATargetThatNamesAnotherDiskIsReadInFull) {
  ProtectedDomain subject(two_disks());
  begin(subject);
  subject.domain.monitor_write("sda", 0, 4 * k_mib, 0x12);
  back_up(subject);
  subject.domain.destroy();
  const std::string vda = subject.domain.disk_path("vda");
  const std::string sda = subject.domain.disk_path("sda");
  std::string xml = replaced(subject.domain.inactive_xml(), vda, "/somewhere");
  define(subject, replaced(replaced(xml, sda, vda), "/somewhere", sda));
  subject.domain.start_paused();
  write(subject, 16 * k_mib, 0x66);
  ASSERT_EQ(subject.domain.live_source("vda"), sda);
  subject.must({"backup", subject.domain.name(), "--quiesce=off"});
  for (const char* target : {"vda", "sda"}) expect_scan(disk_of_latest(subject, target), "the disk was '");
  expect_latest(subject, {"vda", "sda"});
  subject.must({"backup", subject.domain.name(), "--quiesce=off"});
  for (const char* target : {"vda", "sda"}) expect_bitmap(disk_of_latest(subject, target), 0);
  expect_latest(subject, {"vda", "sda"});
}

// Its points are another domain's, and the bitmap of the last of them goes with the next that is made.
TEST_F(ChangeMapWorld, ADomainDefinedAgainWithAnotherUuidIsReadInFull) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  const auto before = bitmaps(subject);
  subject.domain.destroy();
  define_with_another_uuid(subject);
  EXPECT_NE(subject.run({"doctor"}).output.find(before.at(0)), std::string::npos);
  expect_scan(back_up(subject), "first point of this disk");
  EXPECT_EQ(bitmaps(subject), before) << "only QEMU removes it";
  EXPECT_NE(subject.run({"doctor"}).output.find(before.at(0)), std::string::npos);
  subject.domain.start_paused();
  write(subject, 16 * k_mib, 0x66);
  EXPECT_EQ(back_up(subject).at("change_map"), "scan");
  ASSERT_EQ(bitmaps(subject).size(), 1U);
  EXPECT_NE(bitmaps(subject), before);
  write(subject, 20 * k_mib, 0x66);
  expect_bitmap(back_up(subject), k_block);
}

// No bitmap tells of what was cut off.
TEST_F(ChangeMapWorld, ADiskCutAndGrownAgainIsReadInFull) {
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

TEST_F(ChangeMapWorld, ASmallerDiskIsReadInFull) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  subject.domain.destroy();
  tool({"qemu-img", "resize", "--shrink", subject.domain.disk_path(), "32M"});
  subject.domain.start_paused();
  expect_scan(back_up(subject), "smaller");
}

TEST_F(ChangeMapWorld, ASwappedImageIsReadInFull) {
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

TEST_F(ChangeMapWorld, ABackingFileThatWasWrittenToMeansAScan) {
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

TEST_F(ChangeMapWorld, OfflineBackupsInBetweenAreIncrementsToo) {
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

TEST_F(ChangeMapWorld, AGuestStartedDuringAnOfflineBackupLosesNothing) {
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

TEST_F(ChangeMapWorld, AGuestStoppedDuringABackupLosesNothing) {
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

TEST_F(ChangeMapWorld, TwoRepositoriesHaveLinesOfTheirOwn) {
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

TEST_F(ChangeMapWorld, ARestoreOverTheDomainMeansAScan) {
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

TEST_F(ChangeMapWorld, AForeignBitmapStays) {
  ProtectedDomain subject;
  begin(subject);
  subject.domain.destroy();
  tool({"qemu-img", "bitmap", "--add", subject.domain.disk_path(), "somebodys"});
  subject.domain.start_paused();
  back_up(subject);
  back_up(subject);
  EXPECT_EQ(bitmaps(subject).size(), 2U);
}

TEST_F(ChangeMapWorld, ASnapshotOfTheUsersMeansAScan) {
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

TEST_F(ChangeMapWorld, AnImageWithInternalSnapshotsGetsNoBitmapAndLosesIts) {
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

TEST_F(ChangeMapWorld, ABitmapThatLiesIsFoundOut) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  write(subject, k_mib, 0x66);
  subject.domain.destroy();
  tool({"qemu-img", "bitmap", "--clear", subject.domain.disk_path(), bitmaps(subject).at(0)});
  subject.domain.start_paused();
  expect_scan(back_up(subject, {"--recheck=1000"}), "cannot be trusted");
}

// Without being asked to look at all of it.
TEST_F(ChangeMapWorld, ABitmapThatKnowsNothingOfAllThatChangedIsFoundOut) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  write(subject, 0, 0x66, 4 * k_mib);
  subject.domain.destroy();
  tool({"qemu-img", "bitmap", "--clear", subject.domain.disk_path(), bitmaps(subject).at(0)});
  subject.domain.start_paused();
  expect_scan(back_up(subject), "cannot be trusted");
}

TEST_F(ChangeMapWorld, RawDisksAreScanned) {
  ProtectedDomain subject({.disks = {{.image = {.format = "raw"}}}});
  begin(subject);
  back_up(subject);
  expect_scan(back_up(subject), "raw has no bitmaps");
}

TEST_F(ChangeMapWorld, APruneInBetweenKeepsWhatTheNextPointShares) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  write(subject, 0, 0x31, 2 * k_mib);
  back_up(subject);
  subject.must({"forget", subject.points().at(0)});
  subject.must({"prune", "--grace=0s"});
  write(subject, 16 * k_mib, 0x66);
  expect_bitmap(back_up(subject), k_block);
  subject.must({"verify"});
}

// The point it counts from goes, and its blocks with it, while the next one is being made.
TEST_F(ChangeMapWorld, APruneOfTheParentMeanwhileTakesNothingFromThePoint) {
  ProtectedDomain subject;
  begin(subject);
  back_up(subject);
  rig::IcecoreRun run(subject.with_options({"backup", subject.domain.name()}),
                      {{"ICECORE_FAILPOINTS", "backup.fact.reading=pause"}});
  run.wait_failpoint();
  subject.must({"forget", subject.points().at(0), "--even-last"});
  subject.must({"prune", "--grace=0s"});
  run.go_on();
  ASSERT_EQ(run.wait().exit_code, 0);
  EXPECT_EQ(newest(subject).at("change_map"), "bitmap");
  subject.must({"prune", "--grace=0s"});
  subject.must({"verify"});
  EXPECT_EQ(subject.restored_hash("latest"), subject.domain.hash_disk());
}

}  // namespace
}  // namespace icecore::system_test
