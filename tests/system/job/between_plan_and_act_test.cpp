// SPDX-License-Identifier: Apache-2.0
// The world changes between what a job planned and what it does: disks taken into use, resized, exchanged; and disks
// that are no files. Nothing is written over, nothing is left behind.
#include <sys/stat.h>

#include "base/handle.hpp"
#include "base/process.hpp"
#include "rig/guest.hpp"
#include "rig/requirements.hpp"
#include "system/job/expect_error.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

constexpr std::uint64_t k_mib = 1024 * 1024;

class BetweenPlanAndAct : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }
};

rig::DomainOptions two_disks() {
  rig::DomainOptions options;
  options.disks = {{.target = "vda"}, {.target = "vdb"}};
  return options;
}

ino_t inode_of(const std::filesystem::path& file) {
  struct stat status {};
  EXPECT_EQ(::stat(file.c_str(), &status), 0) << file;
  return status.st_ino;
}

std::string run(std::vector<std::string> arguments) {
  return base::run_checked({.arguments = std::move(arguments)}, std::chrono::seconds(30));
}

// A backed up domain that is shut off and has changed since.
void back_up_and_change(ProtectedDomain& subject) {
  subject.init();
  subject.domain.start_paused();
  subject.must({"backup", subject.domain.name()});
  subject.domain.monitor_write("vda", k_mib, k_mib, 0x71);
  subject.domain.destroy();
}

// The domain with another file in the place of one.
void redefine(ProtectedDomain& subject, const std::string& old, const std::string& now) {
  std::string xml = subject.domain.inactive_xml();
  xml.replace(xml.find(old), old.size(), now);
  const virDomainPtr defined = ::virDomainDefineXML(::virDomainGetConnect(subject.domain.handle()), xml.c_str());
  ASSERT_NE(defined, nullptr);
  ::virDomainFree(defined);
}

void expect_no_work_files(const ProtectedDomain& subject) {
  for (const auto& entry : std::filesystem::directory_iterator(subject.domain.folder()))
    EXPECT_EQ(entry.path().string().find(".icecore-"), std::string::npos) << entry.path();
}

TEST_F(BetweenPlanAndAct, AReplaceCutOffBeforeItReplacedIsUndone) {
  ProtectedDomain subject;
  back_up_and_change(subject);
  const std::string changed = rig::content_hash(subject.domain.disk_path(), "qcow2");
  const auto killed =
      subject.run({"restore", "latest", "--replace"}, {{"ICECORE_FAILPOINTS", "restore.fact.written=kill"}});
  EXPECT_EQ(killed.exit_code, 137) << killed.error_output;
  const ino_t inode = inode_of(subject.domain.disk_path());
  subject.domain.start_paused();
  subject.must({"recover"});
  EXPECT_EQ(inode_of(subject.domain.disk_path()), inode) << "the disk was taken from under a running domain";
  EXPECT_EQ(subject.domain.hash_disk(), changed);
  subject.expect_at_rest();
}

TEST_F(BetweenPlanAndAct, AReplaceCutOffHalfWayWaitsUntilTheDomainIsOff) {
  ProtectedDomain subject(two_disks());
  back_up_and_change(subject);
  const ino_t first = inode_of(subject.domain.disk_path("vda"));
  const ino_t second = inode_of(subject.domain.disk_path("vdb"));
  const auto killed = subject.run({"restore", "latest", "--replace"}, {{"ICECORE_FAILPOINTS", "restore.named=kill"}});
  EXPECT_EQ(killed.exit_code, 137) << killed.error_output;
  EXPECT_NE(inode_of(subject.domain.disk_path("vda")), first);
  subject.domain.start_paused();
  const auto refused = subject.run({"recover"});
  EXPECT_EQ(refused.exit_code, 3) << refused.output << refused.error_output;
  EXPECT_EQ(inode_of(subject.domain.disk_path("vdb")), second);
  subject.domain.destroy();
  subject.must({"recover"});
  EXPECT_NE(inode_of(subject.domain.disk_path("vdb")), second);
  subject.domain.start_paused();
  subject.expect_at_rest();
}

TEST_F(BetweenPlanAndAct, ADomainStartedWhileAReplaceWritesKeepsItsDisks) {
  ProtectedDomain subject;
  back_up_and_change(subject);
  const ino_t inode = inode_of(subject.domain.disk_path());
  rig::IcecoreRun restore(subject.with_options({"restore", "latest", "--replace"}),
                          {{"ICECORE_FAILPOINTS", "restore.fact.written=pause"}});
  restore.wait_failpoint();
  subject.domain.start_paused();
  restore.go_on();
  EXPECT_EQ(restore.wait().exit_code, 5);
  EXPECT_EQ(inode_of(subject.domain.disk_path()), inode);
  subject.expect_at_rest();
  expect_no_work_files(subject);
}

// libvirt puts one definition in the place of another with the same UUID and name, and says nothing.
TEST_F(BetweenPlanAndAct, ADomainDefinedWhileARestoreWritesStaysAsItWasDefined) {
  ProtectedDomain subject;
  back_up_and_change(subject);
  const std::string defined = subject.domain.inactive_xml();
  ASSERT_EQ(::virDomainUndefine(subject.domain.handle()), 0);
  const std::filesystem::path folder = subject.domain.folder() / "out";
  rig::IcecoreRun restore(subject.with_options({"restore", "latest", "--to", folder}),
                          {{"ICECORE_FAILPOINTS", "restore.intent.defined=pause"}});
  ASSERT_EQ(restore.wait_failpoint(), "restore.intent.defined");
  const virDomainPtr again = ::virDomainDefineXML(::virDomainGetConnect(subject.domain.handle()), defined.c_str());
  ASSERT_NE(again, nullptr);
  ::virDomainFree(again);
  const std::string before = subject.definition();
  restore.go_on();
  expect_error(restore.wait(), 10, "domain '" + subject.domain.name() + "' exists");
  EXPECT_EQ(subject.definition(), before);
  EXPECT_TRUE(std::filesystem::is_empty(folder)) << "of a restore that was refused";
  EXPECT_EQ(subject.must({"recover", "--json"}).json().at("jobs").size(), 0U);
  subject.expect_at_rest();
}

TEST_F(BetweenPlanAndAct, ADomainStartedOnTheDisksItIsToLeaveKeepsThem) {
  ProtectedDomain subject;
  back_up_and_change(subject);
  const std::string before = subject.definition();
  const std::filesystem::path elsewhere = subject.domain.folder() / "elsewhere.qcow2";
  rig::IcecoreRun restore(
      subject.with_options({"restore", "latest", "--replace", "--disk-path", "vda=" + elsewhere.string()}),
      {{"ICECORE_FAILPOINTS", "restore.intent.defined=pause"}});
  ASSERT_EQ(restore.wait_failpoint(), "restore.intent.defined");
  subject.domain.start_paused();
  restore.go_on();
  expect_error(restore.wait(), 5, "is running and cannot be replaced");
  EXPECT_EQ(subject.definition(), before);
  EXPECT_FALSE(std::filesystem::exists(elsewhere));
  expect_no_work_files(subject);
  subject.expect_at_rest();
}

TEST_F(BetweenPlanAndAct, AReplaceOntoOtherPathsIsNotFinishedUnderARunningDomain) {
  ProtectedDomain subject;
  back_up_and_change(subject);
  const std::string before = subject.definition();
  const std::filesystem::path elsewhere = subject.domain.folder() / "elsewhere.qcow2";
  const auto killed = subject.run({"restore", "latest", "--replace", "--disk-path", "vda=" + elsewhere.string()},
                                  {{"ICECORE_FAILPOINTS", "restore.named=kill"}});
  EXPECT_EQ(killed.exit_code, 137) << killed.error_output;
  subject.domain.start_paused();
  const auto refused = subject.run({"recover"});
  EXPECT_EQ(refused.exit_code, 3) << refused.output << refused.error_output;
  EXPECT_NE(refused.error_output.find("is running"), std::string::npos) << refused.error_output;
  EXPECT_EQ(subject.definition(), before);
  subject.domain.destroy();
  subject.must({"recover"});
  EXPECT_EQ(subject.domain.inactive_source(), elsewhere);
  EXPECT_EQ(rig::content_hash(elsewhere, "qcow2"), subject.restored_hash("latest"));
}

TEST_F(BetweenPlanAndAct, ReplacingOneDiskKeepsTheOthersInTheDomain) {
  ProtectedDomain subject(two_disks());
  back_up_and_change(subject);
  const ino_t second = inode_of(subject.domain.disk_path("vdb"));
  const std::string changed = subject.domain.hash_disk("vda");
  subject.must({"restore", "latest", "--replace", "--disk", "vda"});
  EXPECT_EQ(subject.domain.hash_disk("vda"), subject.restored_hash("latest", "vda"));
  EXPECT_NE(subject.domain.hash_disk("vda"), changed);
  EXPECT_EQ(subject.domain.inactive_source("vdb"), subject.domain.disk_path("vdb"));
  EXPECT_EQ(inode_of(subject.domain.disk_path("vdb")), second);
  subject.domain.start_paused();
  subject.expect_at_rest();
}

// The other disks come back all the same; its newest data are where a person finds them.
TEST_F(BetweenPlanAndAct, ADiskDetachedInTheWindowHoldsNoOtherUp) {
  rig::DomainOptions options;
  options.disks = {{.target = "vda"}, {.target = "sda", .bus = "scsi"}};
  ProtectedDomain subject(options);
  subject.init();
  subject.domain.start_paused();
  rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name()}),
                         {{"ICECORE_FAILPOINTS", "backup.fact.sealed=pause"}});
  backup.wait_failpoint();
  const std::filesystem::path overlay = subject.domain.live_source("sda");
  run({"virsh", "-q", "detach-disk", subject.domain.name(), "sda", "--live", "--config"});
  backup.go_on();
  expect_error(backup.wait(), 10, "disk 'sda' was detached");
  EXPECT_EQ(subject.domain.live_source(), subject.domain.disk_path());
  EXPECT_EQ(subject.domain.inactive_source(), subject.domain.disk_path());
  EXPECT_EQ(subject.points().size(), 1U);
  EXPECT_TRUE(std::filesystem::exists(overlay));
  subject.domain.destroy();
  EXPECT_EQ(subject.run({"recover"}).exit_code, 3);
  EXPECT_TRUE(std::filesystem::exists(overlay));
  std::filesystem::remove(overlay);  // a person has decided
  subject.must({"recover"});
  subject.expect_at_rest();
}

TEST_F(BetweenPlanAndAct, ADomainOnOverlaysIsRecoveredBeforeItIsReplaced) {
  ProtectedDomain subject(two_disks());
  back_up_and_change(subject);
  subject.domain.start_paused();
  subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "backup.fact.reading=kill"}});
  subject.domain.monitor_write("vdb", k_mib, k_mib, 0x66);
  const std::string newest = subject.domain.hash_disk("vdb");
  subject.domain.destroy();
  const std::string away = subject.state_dir().string() + ".away";
  std::filesystem::rename(subject.state_dir(), away);  // who does not know of the backup leaves its overlay alone
  expect_error(subject.run({"restore", "latest", "--replace", "--disk", "vda"}), 10, "an overlay that a backup left");
  std::filesystem::remove_all(subject.state_dir());
  std::filesystem::rename(away, subject.state_dir());
  subject.must({"restore", "latest", "--replace", "--disk", "vda"});
  EXPECT_EQ(subject.domain.hash_disk("vdb"), newest);
  subject.expect_at_rest();
}

TEST_F(BetweenPlanAndAct, ReplacingOneDiskKeepsTheOthersWhereTheyAreNow) {
  ProtectedDomain subject(two_disks());
  back_up_and_change(subject);
  const std::filesystem::path old = subject.domain.disk_path("vdb");
  const std::filesystem::path moved = subject.domain.folder() / "moved.qcow2";
  std::filesystem::copy_file(old, moved);  // what lies at the old place is the disk of then
  redefine(subject, old, moved);
  subject.must({"restore", "latest", "--replace", "--disk", "vda"});
  EXPECT_EQ(subject.domain.inactive_source("vdb"), moved);
  EXPECT_EQ(subject.domain.inactive_source("vda"), subject.domain.disk_path("vda"));
}

TEST_F(BetweenPlanAndAct, AFileWhereADiskWasThenIsNotReplaced) {
  ProtectedDomain subject(two_disks());
  back_up_and_change(subject);
  const std::filesystem::path old = subject.domain.disk_path("vdb");
  const std::filesystem::path moved = subject.domain.folder() / "moved.qcow2";
  std::filesystem::copy_file(old, moved);
  redefine(subject, old, moved);
  const ino_t copy = inode_of(old);
  expect_error(subject.run({"restore", "latest", "--replace"}), 10, "is no disk of domain");
  EXPECT_EQ(inode_of(old), copy);
  subject.must(
      {"restore", "latest", "--replace", "--disk-path", "vdb=" + (subject.domain.folder() / "third").string()});
}

TEST_F(BetweenPlanAndAct, ADiskResizedAndThenShutOffIsMergedAllTheSame) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name()}),
                         {{"ICECORE_FAILPOINTS", "backup.intent.reading=pause"}});
  backup.wait_failpoint();
  run({"virsh", "-q", "blockresize", subject.domain.name(), "vda", "96M"});
  subject.domain.monitor_write("vda", 90 * k_mib, k_mib, 0x72);
  subject.domain.destroy();
  backup.go_on();
  EXPECT_EQ(backup.wait().exit_code, 10);
  subject.expect_at_rest();
  const auto info = base::parse_json(run({"qemu-img", "info", "--output=json", subject.domain.disk_path()}), "info");
  EXPECT_EQ(info.at("virtual-size"), 96 * k_mib);
  subject.must({"backup", subject.domain.name()});
}

TEST_F(BetweenPlanAndAct, AnImageExchangedWhileItIsReadMakesNoPoint) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name()}),
                         {{"ICECORE_FAILPOINTS", "backup.intent.sealed=pause"}});
  backup.wait_failpoint();
  const auto path = subject.domain.disk_path();
  const auto other = subject.domain.folder() / "other.qcow2";
  std::filesystem::copy_file(path, other);
  std::filesystem::rename(other, path);
  backup.go_on();
  const auto outcome = backup.wait();
  EXPECT_EQ(outcome.exit_code, 10) << outcome.error_output;
  EXPECT_NE(outcome.error_output.find("has changed since the backup began"), std::string::npos) << outcome.error_output;
  EXPECT_TRUE(subject.points().empty());
}

// Off, nobody's lock keeps others from it; and a definition made anew starts the domain on it.
TEST_F(BetweenPlanAndAct, ABaseWrittenToWhileItIsReadMakesNoPoint) {
  for (const char* map : {"--change-map=auto", "--change-map=layer"}) {
    SCOPED_TRACE(map);
    ProtectedDomain subject;
    subject.init();
    const std::string defined = subject.domain.inactive_xml();
    const std::vector<std::string> words = subject.with_options({"backup", subject.domain.name(), map});
    const rig::Environment at_the_end = {{"ICECORE_FAILPOINTS", "backup.intent.sealed=pause"}};
    const auto interrupt = [&](const std::function<void()>& act) {
      rig::IcecoreRun backup(words, at_the_end);
      backup.wait_failpoint();
      act();
      backup.go_on();
      const auto outcome = backup.wait();
      EXPECT_EQ(outcome.exit_code, 10) << outcome.error_output;
      EXPECT_NE(outcome.error_output.find("written to while it was read"), std::string::npos) << outcome.error_output;
      EXPECT_TRUE(subject.points().empty());
    };
    interrupt([&] { rig::write_pattern(subject.domain.disk_path(), "qcow2", k_mib, k_mib, 0x51); });
    subject.expect_at_rest();
    interrupt([&] {
      const virDomainPtr again = ::virDomainDefineXML(::virDomainGetConnect(subject.domain.handle()), defined.c_str());
      ASSERT_NE(again, nullptr);
      ::virDomainFree(again);
      subject.domain.start_paused();
      subject.domain.monitor_write("vda", 2 * k_mib, k_mib, 0x52);
    });
    const std::string now = subject.domain.hash_disk();
    subject.must({"recover"});
    subject.expect_at_rest();
    EXPECT_EQ(subject.domain.hash_disk(), now);
  }
}

TEST_F(BetweenPlanAndAct, AGuestWithoutFileSystemsIsNotCalledFrozen) {
  ICECORE_NEEDS("guest");
  ProtectedDomain subject;
  subject.init();
  subject.domain.start();
  rig::Guest guest(subject.domain);
  guest.wait_agent();
  const auto outcome = subject.run({"backup", subject.domain.name(), "--quiesce=required"});
  EXPECT_EQ(outcome.exit_code, 6) << outcome.error_output;
  EXPECT_NE(outcome.error_output.find("no file system"), std::string::npos) << outcome.error_output;
  EXPECT_TRUE(subject.points().empty());
  EXPECT_EQ(guest.freeze_status(), "thawed");
  subject.expect_at_rest();
}

TEST_F(BetweenPlanAndAct, ABlockDeviceNeedsAFolderForItsOverlayAndAFileToComeBackTo) {
  rig::TestFolder folder;
  const auto image = folder.path() / "device.raw";
  rig::make_image(image, {.format = "raw", .size = 64 * k_mib});
  std::string device = run({"losetup", "--find", "--show", image.string()});
  device.pop_back();
  const base::ScopeExit detach([&] { run({"losetup", "--detach", device}); });
  rig::DomainOptions options;
  options.devices_xml = "<disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='" + device +
                        "'/><target dev='vdb' bus='virtio'/></disk>";
  ProtectedDomain subject(options);
  subject.init();
  subject.domain.start_paused();
  const auto refused = subject.run({"backup", subject.domain.name()});
  EXPECT_EQ(refused.exit_code, 2) << refused.error_output;
  EXPECT_NE(refused.error_output.find("--device-overlay-dir"), std::string::npos) << refused.error_output;

  const auto overlays = folder.path() / "overlays";
  std::filesystem::create_directory(overlays);
  subject.must({"backup", subject.domain.name(), "--overlay-dir", overlays});
  EXPECT_NE(subject.domain.live_xml().find("dev='" + device + "'"), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(overlays));

  const std::string copy = subject.domain.name() + "-copy";
  subject.domain.undo().domain(copy);
  const auto into_dev = subject.run({"restore", "latest", "--as", copy});
  EXPECT_EQ(into_dev.exit_code, 10) << into_dev.error_output;
  EXPECT_NE(into_dev.error_output.find("--disk-path vdb=PATH"), std::string::npos) << into_dev.error_output;
  subject.must({"restore", "latest", "--as", copy, "--to", folder.path()});
  EXPECT_EQ(rig::content_hash(folder.path() / (copy + ".vdb.raw"), "raw"), rig::content_hash(image, "raw"));
}

}  // namespace
}  // namespace icecore::system_test
