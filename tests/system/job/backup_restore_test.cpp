// SPDX-License-Identifier: Apache-2.0
// The main job as a user does it: a running, quiesced guest backed up, damaged, restored beside itself, booted.
#include <gtest/gtest.h>

#include "rig/guest.hpp"
#include "rig/requirements.hpp"
#include "rig/xml_query.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

constexpr std::uint64_t k_mib = 1024 * 1024;

class BackupRestore : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }

  static rig::DomainOptions with_files() {
    rig::DiskOptions disk;
    disk.image.files = {{"etc/motd", "hello\n"}, {"data/one", std::string(300'000, 'x')}};
    rig::DomainOptions options;
    options.disks = {disk};
    return options;
  }

  // The running domain `name` has an identity of its own and the files of `before`.
  static void expect_same_but_new(ProtectedDomain& subject, const std::string& name,
                                  const std::map<std::string, std::string>& before) {
    const auto file = subject.domain.folder() / (name + ".vda.qcow2");
    rig::TestDomain copy({.disks = {{.existing = file}}, .name = name});
    ASSERT_TRUE(copy.is_running());
    EXPECT_EQ(copy.live_source(), file);
    for (const char* path : {"/domain/uuid", "/domain/devices/interface/mac/@address"}) {
      const std::string old = rig::xml_value(subject.domain.inactive_xml(), path);
      const std::string now = rig::xml_value(copy.live_xml(), path);
      EXPECT_FALSE(now.empty()) << path;
      EXPECT_NE(now, old) << path;
    }
    rig::Guest guest(copy);
    guest.wait_agent();
    EXPECT_EQ(guest.checksums(), before);
  }
};

TEST_F(BackupRestore, AQuiescedGuestComesBackAsASecondDomain) {
  ICECORE_NEEDS("guest");
  rig::DomainOptions options = with_files();
  options.devices_xml = "<interface type='user'><mac address='52:54:00:12:34:56'/><model type='virtio'/></interface>";
  ProtectedDomain subject(options);
  subject.init();
  subject.domain.start();
  rig::Guest guest(subject.domain);
  guest.wait_agent();
  guest.write_file("/mnt/written-by-the-guest", "before the backup");
  const auto before = guest.checksums();

  subject.must({"backup", subject.domain.name(), "--quiesce=required"});
  EXPECT_EQ(guest.freeze_status(), "thawed");
  subject.expect_at_rest();
  const base::Json point = subject.must({"show", "latest", "--json"}).json();
  EXPECT_EQ(point.at("consistency"), "filesystem");
  EXPECT_GT(point.at("freeze_ms"), 0);
  guest.shell("rm -rf /mnt/data; echo damaged > /mnt/etc/motd; sync");
  EXPECT_NE(guest.checksums(), before);
  // Both write their console to the same file, which only one may have open.
  subject.domain.destroy();

  const std::string name = subject.domain.name() + "-copy";
  subject.domain.undo().domain(name);
  subject.must({"restore", "latest", "--as", name, "--start"});
  EXPECT_EQ(subject.run({"restore", "latest", "--as", name}).exit_code, 10) << "restored over a domain that exists";
  expect_same_but_new(subject, name, before);
}

TEST_F(BackupRestore, SeveralDisksAreOneInstantAndSkippedOnesAreNamed) {
  rig::DomainOptions options;
  options.disks = {{.target = "vda"}, {.target = "vdb", .image = {.format = "raw", .size = 32 * k_mib}}};
  options.devices_xml = "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>";
  ProtectedDomain subject(options);
  subject.init();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 3 * k_mib, k_mib, 0x31);
  subject.domain.monitor_write("vdb", 7 * k_mib, 4096, 0x32);
  const std::string first = subject.domain.hash_disk("vda");
  const std::string second = subject.domain.hash_disk("vdb");

  subject.must({"backup", subject.domain.name()});
  EXPECT_EQ(subject.restored_hash("latest", "vda"), first);
  EXPECT_EQ(subject.restored_hash("latest", "vdb"), second);
  const base::Json point = subject.must({"show", "latest", "--json"}).json();
  ASSERT_EQ(point.at("skipped").size(), 1U);
  EXPECT_EQ(point.at("skipped")[0].at("target"), "sda");
  subject.expect_at_rest();
}

TEST_F(BackupRestore, AShutOffDomainIsBackedUpToo) {
  ProtectedDomain subject(with_files());
  subject.init();
  const std::string before = rig::content_hash(subject.domain.disk_path(), "qcow2");
  subject.must({"backup", subject.domain.name()});
  subject.expect_at_rest();
  EXPECT_EQ(subject.restored_hash("latest"), before);
}

TEST_F(BackupRestore, AnUnchangedDiskStoresNextToNothing) {
  ProtectedDomain subject(with_files());
  subject.init();
  subject.domain.start_paused();
  subject.must({"backup", subject.domain.name()});
  subject.must({"backup", subject.domain.name()});
  const base::Json point = subject.must({"show", "latest", "--json"}).json();
  EXPECT_EQ(point.at("disks")[0].at("bytes_new"), 0);
}

TEST_F(BackupRestore, UserLayersBelowTheBaseAreNeverWrittenTo) {
  rig::TestFolder templates;
  const auto golden = templates.path() / "golden.qcow2";
  rig::make_image(golden, {.files = {{"etc/os", "golden"}}});
  const std::string golden_hash = rig::content_hash(golden, "qcow2");
  rig::DomainOptions options;
  options.disks = {{.image = {.backing = golden}}};
  ProtectedDomain subject(options);
  subject.init();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 9 * k_mib, k_mib, 0x41);
  const std::string content = subject.domain.hash_disk();
  subject.must({"backup", subject.domain.name()});
  subject.expect_at_rest();
  EXPECT_EQ(subject.domain.hash_disk(), content);
  EXPECT_EQ(rig::content_hash(golden, "qcow2"), golden_hash);
  EXPECT_EQ(subject.restored_hash("latest"), content);
}

TEST_F(BackupRestore, ReplaceTakesThePlaceOfAShutOffDomainOnly) {
  ProtectedDomain subject(with_files());
  subject.init();
  subject.domain.start_paused();
  const std::string before = subject.domain.hash_disk();
  subject.must({"backup", subject.domain.name()});
  subject.domain.monitor_write("vda", 20 * k_mib, k_mib, 0x51);
  EXPECT_EQ(subject.run({"restore", "latest", "--replace"}).exit_code, 5) << "replaced a running domain";
  subject.domain.destroy();
  EXPECT_NE(rig::content_hash(subject.domain.disk_path(), "qcow2"), before);
  subject.must({"restore", "latest", "--replace"});
  EXPECT_EQ(rig::content_hash(subject.domain.disk_path(), "qcow2"), before);
  subject.domain.start_paused();
  subject.expect_at_rest();
}

}  // namespace
}  // namespace icecore::system_test
