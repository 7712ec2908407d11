// SPDX-License-Identifier: Apache-2.0
// Where a restore puts disks: paths of their own, other formats, block devices, storage pools; and the networks its
// interfaces are put onto.
#include <fcntl.h>
#include <gmock/gmock.h>

#include "base/durable_file.hpp"
#include "base/handle.hpp"
#include "rig/requirements.hpp"
#include "rig/xml_query.hpp"
#include "system/job/expect_error.hpp"
#include "system/job/loop_device.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint64_t k_mib = 1024 * 1024;

class RestorePlaces : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }

  static void back_up(ProtectedDomain& subject) {
    subject.init();
    rig::write_pattern(subject.domain.disk_path(), "qcow2", k_mib, 2 * k_mib, 0x44);
    rig::write_pattern(subject.domain.disk_path(), "qcow2", 40 * k_mib, 4096, 0x45);
    subject.must({"backup", subject.domain.name()});
  }
  static std::string virsh(const ProtectedDomain& subject, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"virsh", "-q", "-c", subject.domain.uri()});
    return base::run_checked({.arguments = std::move(arguments)}, std::chrono::seconds(30));
  }
  static std::string xml_of(const ProtectedDomain& subject, const std::string& domain) {
    return virsh(subject, {"dumpxml", "--inactive", domain});
  }
  // A content hash without the size.
  static std::string content_of(const std::string& hash) { return hash.substr(0, hash.find('/')); }
  // Its second disk is the device.
  static rig::DomainOptions with_device(const LoopDevice& device) {
    rig::DomainOptions options;
    options.devices_xml = "<disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='" +
                          device.path() + "'/><target dev='vdb' bus='virtio'/></disk>";
    return options;
  }
  static std::string copy_of(ProtectedDomain& subject) {
    const std::string name = subject.domain.name() + "-copy";
    subject.domain.undo().domain(name);
    return name;
  }
};

TEST_F(RestorePlaces, EachDiskGoesWhereItsPathSays) {
  ProtectedDomain subject({.disks = {{.target = "vda"}, {.target = "vdb", .image = {.format = "raw"}}}});
  back_up(subject);
  const std::string copy = copy_of(subject);
  const auto folder = subject.domain.folder() / "out";
  const auto vda = subject.domain.folder() / "system.img";
  subject.must({"restore", "latest", "--as", copy, "--to", folder, "--disk-path", "vda=" + vda.string(),
                "--disk-format", "vda=raw", "--disk-format", "vdb=qcow2"});
  EXPECT_EQ(rig::content_hash(vda, "raw"), subject.domain.hash_disk());
  EXPECT_EQ(rig::content_hash(folder / (copy + ".vdb.qcow2"), "qcow2"), subject.domain.hash_disk("vdb"));
  const std::string xml = xml_of(subject, copy);
  EXPECT_EQ(rig::xml_value(xml, "//disk[target/@dev='vda']/source/@file"), vda.string());
  EXPECT_EQ(rig::xml_value(xml, "//disk[target/@dev='vda']/driver/@type"), "raw");
  EXPECT_EQ(rig::xml_value(xml, "//disk[target/@dev='vdb']/driver/@type"), "qcow2");
  expect_error(
      subject.run({"restore", "latest", "--disks-only", "--disk", "vda", "--disk-path", "vda=" + vda.string()}), 10,
      vda);
  expect_error(subject.run({"restore", "latest", "--disks-only", "--disk", "vda", "--disk-path", "vdb=/tmp/x"}), 2,
               "vdb");
}

TEST_F(RestorePlaces, OntoADeviceWhichIsWrittenInPlace) {
  ProtectedDomain subject;
  back_up(subject);
  // Larger than the disk: what is behind it reads as zeroes.
  const LoopDevice device(subject.domain.folder(), 80 * k_mib);
  const std::string copy = copy_of(subject);
  const std::string before = device.hash();
  const std::vector<std::string> command = {
      "restore", "latest", "--as", copy, "--to", subject.domain.folder(), "--disk-path", "vda=" + device.path()};
  expect_error(subject.run(command), 10, device.path());
  EXPECT_EQ(device.hash(), before);
  auto consented = command;
  consented.insert(consented.end(), {"--overwrite-device", "--start"});
  auto dry = consented;
  dry.push_back("--dry-run");
  EXPECT_THAT(subject.must(dry).output, HasSubstr("in place of what is there"));
  EXPECT_EQ(device.hash(), before);
  subject.must(consented);
  const std::string xml = xml_of(subject, copy);
  EXPECT_EQ(rig::xml_value(xml, "//disk[target/@dev='vda']/@type"), "block");
  EXPECT_EQ(rig::xml_value(xml, "//disk[target/@dev='vda']/source/@dev"), device.path());
  EXPECT_EQ(rig::xml_value(xml, "//disk[target/@dev='vda']/driver/@type"), "raw");
  EXPECT_EQ(content_of(device.hash()), content_of(subject.domain.hash_disk()));
  // A domain is on it now.
  expect_error(
      subject.run({"restore", "latest", "--disks-only", "--overwrite-device", "--disk-path", "vda=" + device.path()}),
      5, copy);
  virsh(subject, {"destroy", copy});
  expect_error(
      subject.run({"restore", "latest", "--disks-only", "--overwrite-device", "--disk-path", "vda=" + device.path()}),
      5, copy);
}

TEST_F(RestorePlaces, ADeviceThatIsHeldOrTooSmallIsLeftAlone) {
  ProtectedDomain subject;
  back_up(subject);
  const LoopDevice small(subject.domain.folder(), 16 * k_mib);
  const std::string before = small.hash();
  const auto onto = [&](const std::string& device) {
    return subject.run({"restore", "latest", "--disks-only", "--overwrite-device", "--disk-path", "vda=" + device});
  };
  expect_error(onto(small.path()), 9, small.path());
  EXPECT_EQ(small.hash(), before);
  std::filesystem::create_directory(subject.domain.folder() / "large");
  const LoopDevice held(subject.domain.folder() / "large", 64 * k_mib);
  const base::Fd claim = base::open_file(held.path(), O_RDONLY | O_EXCL);  // as a mount does
  expect_error(onto(held.path()), 5, held.path());
}

TEST_F(RestorePlaces, AKilledRestoreSaysThatADeviceIsNeitherOldNorNew) {
  ProtectedDomain subject;
  back_up(subject);
  const LoopDevice device(subject.domain.folder(), 64 * k_mib);
  const std::string before = device.hash();
  const std::vector<std::string> command = {
      "restore", "latest", "--disks-only", "--overwrite-device", "--disk-path", "vda=" + device.path()};
  const auto crash = [&](const std::string& place) {
    EXPECT_EQ(subject.run(command, {{"ICECORE_FAILPOINTS", place + "=kill"}}).exit_code, 137);
    return subject.must({"recover"}).output;
  };
  EXPECT_THAT(crash("restore.intent.written"), testing::Not(HasSubstr(device.path())));
  EXPECT_EQ(device.hash(), before);
  EXPECT_THAT(crash("restore.device_begun"), HasSubstr(device.path()));
  EXPECT_THAT(crash("restore.acted.written"), HasSubstr(device.path()));
  EXPECT_THAT(crash("restore.fact.written"), testing::Not(HasSubstr("neither")));
  EXPECT_EQ(device.hash(), subject.domain.hash_disk());
  subject.expect_at_rest();
}

TEST_F(RestorePlaces, AFailedRestoreSaysThatADeviceLostItsContent) {
  ProtectedDomain subject;
  back_up(subject);
  const LoopDevice device(subject.domain.folder(), 64 * k_mib);
  for (const auto& pack : std::filesystem::recursive_directory_iterator(subject.repository() / "packs")) {
    if (pack.is_regular_file()) std::filesystem::resize_file(pack.path(), 64);
  }
  expect_error(
      subject.run({"restore", "latest", "--disks-only", "--overwrite-device", "--disk-path", "vda=" + device.path()}),
      8, device.path());
  subject.expect_at_rest();
}

TEST_F(RestorePlaces, InThePlaceOfADomainThatIsOnADevice) {
  rig::TestFolder folder;
  const LoopDevice device(folder.path(), 32 * k_mib);
  ProtectedDomain subject(with_device(device));
  subject.init();
  const auto overlays = folder.path() / "overlays";
  std::filesystem::create_directory(overlays);
  subject.domain.start_paused();
  subject.must({"backup", subject.domain.name(), "--overlay-dir", overlays});
  const std::string saved = device.hash();
  subject.domain.monitor_write("vdb", k_mib, k_mib, 0);
  subject.domain.destroy();
  ASSERT_NE(device.hash(), saved);
  expect_error(subject.run({"restore", "latest", "--replace"}), 10, device.path());
  subject.must({"restore", "latest", "--replace", "--overwrite-device"});
  EXPECT_EQ(device.hash(), saved);
  // A second domain never gets the device of the first, running or not.
  expect_error(subject.run({"restore", "latest", "--as", copy_of(subject), "--overwrite-device", "--to", folder.path(),
                            "--disk-path", "vdb=" + device.path()}),
               5, subject.domain.name());
  subject.domain.start_paused();
}

// A layer over it, ours or a snapshot of the user's, would lie over another content.
TEST_F(RestorePlaces, NotOntoADeviceThatADiskOfTheDomainLiesOver) {
  rig::TestFolder folder;
  const LoopDevice device(folder.path(), 32 * k_mib);
  ProtectedDomain subject(with_device(device));
  subject.init();
  subject.must({"backup", subject.domain.name(), "--disk", "vdb", "--change-map", "layer", "--overlay-dir",
                subject.domain.folder()});
  const std::string content = device.hash();
  ASSERT_NE(subject.domain.inactive_source("vdb"), device.path());
  expect_error(subject.run({"restore", "latest", "--disks-only", "--disk", "vdb", "--overwrite-device", "--disk-path",
                            "vdb=" + device.path()}),
               10, "an image below disk vdb");
  EXPECT_EQ(device.hash(), content);
  subject.must({"recover", subject.domain.name(), "--merge-layers"});
  subject.must({"restore", "latest", "--disks-only", "--disk", "vdb", "--overwrite-device", "--disk-path",
                "vdb=" + device.path()});
}

TEST_F(RestorePlaces, IntoAStoragePoolWhoseVolumesThenShow) {
  ProtectedDomain subject;
  back_up(subject);
  const auto folder = subject.domain.folder() / "pool";
  std::filesystem::create_directory(folder);
  const std::string pool = subject.domain.name();
  virsh(subject, {"pool-create-as", pool, "dir", "--target", folder});
  const base::ScopeExit gone([&] { virsh(subject, {"pool-destroy", pool}); });
  const std::string copy = copy_of(subject);
  subject.must({"restore", "latest", "--as", copy, "--pool", pool});
  const auto file = folder / (copy + ".vda.qcow2");
  EXPECT_EQ(rig::content_hash(file, "qcow2"), subject.domain.hash_disk());
  EXPECT_THAT(virsh(subject, {"vol-list", pool}), HasSubstr(file.string()));
  expect_error(subject.run({"restore", "latest", "--as", copy + "-2", "--pool", pool + "x"}), 4, pool + "x");
}

TEST_F(RestorePlaces, InterfacesAreOnTheNetworksTheyWereMappedTo) {
  rig::DomainOptions options;
  options.devices_xml = "<interface type='bridge'><source bridge='icecore-a'/></interface>";
  ProtectedDomain subject(options);
  subject.init();
  subject.must({"backup", subject.domain.name()});
  const std::string copy = copy_of(subject);
  const std::vector<std::string> command = {"restore", "latest", "--as", copy, "--map-network"};
  auto mapped = command;
  mapped.push_back("icecore-a=bridge:lo");
  subject.must(mapped);
  EXPECT_THAT(rig::xml_values(xml_of(subject, copy), "//interface/source/@bridge"), ElementsAre("lo"));
  auto unknown = command;
  unknown.push_back("icecore-z=lo");
  unknown[3] += "-2";
  expect_error(subject.run(unknown), 2, "icecore-z");
}

}  // namespace
}  // namespace icecore::system_test
