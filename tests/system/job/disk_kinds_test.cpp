// SPDX-License-Identifier: Apache-2.0
// Each way a domain can name a disk, through a whole backup on a real libvirt: what is restored is the disk of the
// snapshot's moment, what is written meanwhile stays, and the definition is afterwards what it was.
#include <gtest/gtest.h>

#include "base/process.hpp"
#include "rig/requirements.hpp"
#include "rig/xml_query.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

constexpr std::uint64_t k_mib = 1024 * 1024;

class DiskKinds : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }

  static rig::Environment paused_while_reading(const ProtectedDomain& subject) {
    rig::Environment environment = subject.environment;
    environment["ICECORE_FAILPOINTS"] = "backup.fact.reading=pause";
    return environment;
  }

  // A running domain with these disks, each of which has some content of its own.
  static void start(ProtectedDomain& subject, const std::vector<std::string>& targets) {
    subject.init();
    subject.domain.start_paused();
    unsigned char pattern = 0x20;
    for (const std::string& target : targets) subject.domain.monitor_write(target, 3 * k_mib, k_mib, ++pattern);
  }

  // Backs it up, with a write into the window.
  static void expect_good_backup(ProtectedDomain& subject, const std::vector<std::string>& targets) {
    const std::string defined = subject.definition();
    std::map<std::string, std::string> before;
    for (const std::string& target : targets) before[target] = subject.domain.hash_disk(target);
    rig::IcecoreRun run(subject.with_options({"backup", subject.domain.name()}), paused_while_reading(subject));
    run.wait_failpoint();
    std::map<std::string, std::string> meanwhile;
    for (const std::string& target : targets) {
      subject.domain.monitor_write(target, 5 * k_mib, 256 * 1024, 0x77);
      meanwhile[target] = subject.domain.hash_disk(target);
    }
    run.go_on();
    const auto outcome = run.wait();
    ASSERT_EQ(outcome.exit_code, 0) << outcome.error_output;
    for (const std::string& target : targets) {
      EXPECT_EQ(subject.restored_hash("latest", target), before.at(target)) << target;
      EXPECT_EQ(subject.domain.hash_disk(target), meanwhile.at(target)) << target << ": written meanwhile";
      EXPECT_EQ(subject.domain.live_source(target), subject.domain.disk_path(target));
    }
    EXPECT_EQ(subject.definition(), defined);
    subject.expect_at_rest();
  }

  static void virsh(const ProtectedDomain& subject, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"virsh", "-q", "-c", subject.domain.uri()});
    base::run_checked({.arguments = std::move(arguments)}, std::chrono::seconds(30));
  }

  // Crashes it while the guest is on its overlay, ends QEMU, and recovers the domain that is shut off now.
  static void expect_good_recovery_offline(ProtectedDomain& subject, const std::string& target) {
    const std::string defined = subject.definition();
    EXPECT_NE(
        subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "backup.fact.reading=kill"}}).exit_code,
        0);
    subject.domain.monitor_write(target, 9 * k_mib, 256 * 1024, 0x55);
    const std::string meanwhile = subject.domain.hash_disk(target);
    subject.domain.kill_qemu();
    subject.must({"recover"});
    EXPECT_EQ(subject.domain.hash_disk(target), meanwhile) << "written meanwhile";
    EXPECT_EQ(subject.definition(), defined);
    subject.expect_at_rest();
  }
};

rig::DomainOptions with_disks(std::vector<rig::DiskOptions> disks) {
  rig::DomainOptions options;
  options.disks = std::move(disks);
  return options;
}

TEST_F(DiskKinds, VolumesOfAPoolStayVolumes) {
  ProtectedDomain subject(
      with_disks({{.target = "vda", .kind = rig::DiskKind::volume},
                  {.target = "vdb", .image = {.format = "raw", .size = 32 * k_mib}, .kind = rig::DiskKind::volume}}));
  start(subject, {"vda", "vdb"});
  expect_good_backup(subject, {"vda", "vdb"});
  // Once more, over the XML libvirt has rewritten.
  expect_good_backup(subject, {"vda", "vdb"});
}

TEST_F(DiskKinds, AVolumeOfAShutOffDomainStaysOneThoughItIsStartedMeanwhile) {
  ProtectedDomain subject(with_disks({{.kind = rig::DiskKind::volume}}));
  subject.init();
  const std::string defined = subject.definition();
  const std::string before = subject.domain.hash_disk();
  subject.must({"backup", subject.domain.name()});
  EXPECT_EQ(subject.definition(), defined) << "after an offline merge";
  subject.expect_at_rest();

  rig::IcecoreRun run(subject.with_options({"backup", subject.domain.name()}), paused_while_reading(subject));
  run.wait_failpoint();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 9 * k_mib, 4096, 0x12);
  const std::string meanwhile = subject.domain.hash_disk();
  run.go_on();
  EXPECT_EQ(run.wait().exit_code, 0);
  EXPECT_EQ(subject.restored_hash("latest"), before);
  EXPECT_EQ(subject.domain.hash_disk(), meanwhile);
  EXPECT_EQ(subject.definition(), defined) << "after a live merge of an offline snapshot";
  subject.expect_at_rest();
}

TEST_F(DiskKinds, AVolumeIsPutBackAfterACrashAndAPowerCut) {
  ProtectedDomain subject(with_disks({{.kind = rig::DiskKind::volume}}));
  start(subject, {"vda"});
  expect_good_recovery_offline(subject, "vda");
}

TEST_F(DiskKinds, AVolumeThatIsRestoredToItsPlaceIsOneAgain) {
  ProtectedDomain subject(with_disks({{.kind = rig::DiskKind::volume}}));
  start(subject, {"vda"});
  const std::string before = subject.domain.hash_disk();
  const std::string defined = subject.definition();
  subject.must({"backup", subject.domain.name()});
  subject.domain.destroy();
  subject.must({"restore", "latest", "--replace", "--start"});
  EXPECT_EQ(subject.definition(), defined);
  EXPECT_EQ(subject.domain.hash_disk(), before);

  // The pool has to see the new volume before the domain can start on it.
  subject.domain.destroy();
  ASSERT_EQ(::virDomainUndefine(subject.domain.handle()), 0);
  virsh(subject, {"vol-delete", "--pool", subject.domain.name(), "vda.qcow2"});
  subject.must({"restore", "latest", "--start"});
  EXPECT_EQ(subject.definition(), defined);
  EXPECT_EQ(subject.domain.hash_disk(), before);
}

TEST_F(DiskKinds, AVolumeOfAPoolThatIsNotStartedComesBackAsAFileItCanStartFrom) {
  ProtectedDomain subject(with_disks({{.kind = rig::DiskKind::volume}}));
  start(subject, {"vda"});
  const std::string before = subject.domain.hash_disk();
  subject.must({"backup", subject.domain.name()});
  subject.domain.destroy();
  virsh(subject, {"pool-destroy", subject.domain.name()});
  virsh(subject, {"pool-define-as", subject.domain.name(), "dir", "--target", subject.domain.folder()});
  subject.must({"restore", "latest", "--replace", "--start"});
  EXPECT_EQ(rig::xml_value(subject.domain.inactive_xml(), "//disk/@type"), "file");
  EXPECT_EQ(subject.domain.inactive_source(), subject.domain.disk_path());
  EXPECT_EQ(subject.domain.hash_disk(), before);
}

rig::DomainOptions on_device(const std::string& format) {
  return with_disks({{.image = {.format = format, .size = 32 * k_mib}, .kind = rig::DiskKind::block}});
}

// A folder for the overlays of devices, by the environment as a service would have it.
void set_overlay_folder(ProtectedDomain& subject) {
  const auto folder = subject.domain.folder() / "overlays";
  std::filesystem::create_directory(folder);
  std::filesystem::permissions(folder, std::filesystem::perms(0755));
  subject.environment["ICECORE_DEVICE_OVERLAY_DIR"] = folder;
}

TEST_F(DiskKinds, ARawDeviceIsMergedBackIntoTheDevice) {
  ProtectedDomain subject(on_device("raw"));
  set_overlay_folder(subject);
  start(subject, {"vda"});
  expect_good_backup(subject, {"vda"});
  expect_good_recovery_offline(subject, "vda");
  subject.must({"backup", subject.domain.name()});
  subject.expect_at_rest();
}

TEST_F(DiskKinds, AQcow2InADeviceIsMergedBackIntoTheDevice) {
  ProtectedDomain subject(on_device("qcow2"));
  set_overlay_folder(subject);
  start(subject, {"vda"});
  expect_good_backup(subject, {"vda"});
  expect_good_recovery_offline(subject, "vda");
}

TEST_F(DiskKinds, ADeviceWithoutAFolderForItsOverlayIsRefusedWithTheCure) {
  ProtectedDomain subject(on_device("raw"));
  subject.init();
  subject.domain.start_paused();
  const auto outcome = subject.run({"backup", subject.domain.name()});
  EXPECT_EQ(outcome.exit_code, 2) << outcome.error_output;
  EXPECT_NE(outcome.error_output.find("--device-overlay-dir"), std::string::npos) << outcome.error_output;
  subject.expect_at_rest();
}

// What the guest has then does not fit its device: nothing may be lost until somebody has made the device larger.
TEST_F(DiskKinds, ADeviceGrownMeanwhileWaitsUntilItsDeviceHasGrownToo) {
  ProtectedDomain subject(on_device("raw"));
  set_overlay_folder(subject);
  start(subject, {"vda"});
  rig::IcecoreRun run(subject.with_options({"backup", subject.domain.name()}), paused_while_reading(subject));
  run.wait_failpoint();
  ASSERT_EQ(::virDomainBlockResize(subject.domain.handle(), "vda", 40 * k_mib, VIR_DOMAIN_BLOCK_RESIZE_BYTES), 0);
  subject.domain.monitor_write("vda", 36 * k_mib, k_mib, 0x66);
  const std::string meanwhile = subject.domain.hash_disk();
  run.go_on();
  EXPECT_EQ(run.wait().exit_code, 10);
  const auto recovered = subject.run({"recover"});
  EXPECT_NE(recovered.exit_code, 0);
  EXPECT_NE((recovered.error_output + recovered.output).find("lvextend"), std::string::npos)
      << recovered.error_output << recovered.output;
  EXPECT_EQ(subject.domain.hash_disk(), meanwhile) << "the guest goes on as it is";

  std::filesystem::resize_file(subject.domain.folder() / "vda.raw", 40 * k_mib);
  base::run_checked({.arguments = {"losetup", "--set-capacity", subject.domain.disk_path().native()}},
                    std::chrono::seconds(30));
  subject.must({"recover"});
  EXPECT_EQ(subject.domain.hash_disk(), meanwhile);
  subject.expect_at_rest();
}

TEST_F(DiskKinds, DisksOfEveryBusAreOneInstant) {
  ProtectedDomain subject(with_disks({{.target = "vda"},
                                      {.target = "sda", .bus = "scsi"},
                                      {.target = "sdb", .bus = "sata", .image = {.format = "raw"}},
                                      {.target = "sdc", .bus = "usb"}}));
  start(subject, {"vda", "sda", "sdb", "sdc"});
  expect_good_backup(subject, {"vda", "sda", "sdb", "sdc"});
}

}  // namespace
}  // namespace icecore::system_test
