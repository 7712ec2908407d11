// SPDX-License-Identifier: Apache-2.0
// Snapshots in a real libvirt; the vCPUs never run, writes go through QEMU's block layer.
#include "hypervisor/snapshot.hpp"

#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "hypervisor/classify.hpp"
#include "hypervisor/domain_edit.hpp"
#include "hypervisor/file_use.hpp"
#include "system/hypervisor/hypervisor_case.hpp"

namespace icecore::hypervisor {
namespace {

using base::Fault;
using base::k_mib;

class HypervisorSnapshot : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("libvirt", "qemu", "guest"); }
};

void make_floppy(const std::filesystem::path& path) {
  std::ofstream(path).close();
  std::filesystem::resize_file(path, 1440 * 1024);
}

unsigned mode_of(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 0777U : 0U;
}

TEST_F(HypervisorSnapshot, FreezesTheBaseOfARunningDomain) {
  Case test;
  test.rig.start_paused();
  const std::string before = test.rig.hash_disk();
  const SnapshotReport report = create_snapshot(test.domain(), {test.overlay()}, snapshot_options());
  EXPECT_LT(report.call, std::chrono::seconds(30));
  test.rig.monitor_write("vda", k_mib, 65536, 0x77);
  EXPECT_EQ(place_of(test.domain().model(), test.overlay()), DiskPlace::on_overlay);
  EXPECT_EQ(rig::content_hash(test.rig.disk_path(), "qcow2"), before);
  EXPECT_NE(test.rig.hash_disk(), before);
}

// Disks that are not named would be snapshotted too, a floppy among them.
TEST_F(HypervisorSnapshot, TakesOnlyTheDisksItIsGiven) {
  rig::DomainOptions options;
  options.disks = {
      {.target = "vda"}, {.target = "vdb"}, {.target = "vdc", .extra_xml = "<readonly/>"}, {.target = "vdd"}};
  options.disks[1].image.format = "raw";
  options.devices_xml =
      "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>"
      "<disk type='file' device='floppy'><driver name='qemu' type='raw'/><target dev='fda' bus='fdc'/></disk>";
  Case test(options);
  const std::string floppy = test.rig.folder() / "floppy.img";
  make_floppy(floppy);
  test.connection.define(set_disk_source(test.domain().inactive_xml(), "fda", floppy, "raw"));
  test.rig.start_paused();
  for (const DiskModel& disk : test.domain().model().disks) {
    const bool taken = disk.target == "vda" || disk.target == "vdb" || disk.target == "vdd";
    EXPECT_EQ(classify(disk, true).verdict, taken ? Verdict::include : Verdict::skip) << disk.target;
  }
  create_snapshot(test.domain(), {test.overlay("vda"), test.overlay("vdb")}, snapshot_options());
  const DomainModel model = test.domain().model();
  EXPECT_EQ(place_of(model, test.overlay("vda")), DiskPlace::on_overlay);
  EXPECT_EQ(place_of(model, test.overlay("vdb")), DiskPlace::on_overlay);
  EXPECT_EQ(place_of(model, test.overlay("vdc")), DiskPlace::on_base);
  EXPECT_EQ(place_of(model, test.overlay("vdd")), DiskPlace::on_base);
  EXPECT_EQ(model.find_disk("fda")->source.path, floppy);
}

TEST_F(HypervisorSnapshot, WorksOnAShutOffDomain) {
  Case test;
  create_snapshot(test.domain(), {test.overlay()}, snapshot_options());
  EXPECT_EQ(test.rig.inactive_source(), test.overlay().overlay_path);
  // libvirt 9 makes it 0644.
  EXPECT_EQ(mode_of(test.overlay().overlay_path), 0600U);
  EXPECT_EQ(place_of(test.domain().inactive_model(), test.overlay()), DiskPlace::on_overlay);
  test.rig.start_paused();
  EXPECT_EQ(place_of(test.domain().model(), test.overlay()), DiskPlace::on_overlay);
}

TEST_F(HypervisorSnapshot, RefusesASavedDomain) {
  Case test;
  test.rig.start_paused();
  ASSERT_EQ(virDomainManagedSave(test.rig.handle(), 0), 0);
  EXPECT_TRUE(test.domain().has_managed_save());
  EXPECT_EQ(fault_of_action([&] { create_snapshot(test.domain(), {test.overlay()}, snapshot_options()); }),
            Fault::conflict);
  ASSERT_EQ(virDomainManagedSaveRemove(test.rig.handle(), 0), 0);
  create_snapshot(test.domain(), {test.overlay()}, snapshot_options());
}

TEST_F(HypervisorSnapshot, AllDisksOrNone) {
  rig::DomainOptions options;
  options.disks = {{.target = "vda"}, {.target = "vdb"}};
  Case test(options);
  test.rig.start_paused();
  OverlayDisk bad = test.overlay("vdb");
  bad.overlay_path = test.rig.folder() / "no-such-folder" / "x.qcow2";
  EXPECT_THROW(create_snapshot(test.domain(), {test.overlay("vda"), bad}, snapshot_options()), base::Error);
  EXPECT_EQ(place_of(test.domain().model(), test.overlay("vda")), DiskPlace::on_base);
  EXPECT_FALSE(std::filesystem::exists(test.overlay("vda").overlay_path));
}

TEST_F(HypervisorSnapshot, SaysWhatLibvirtSaid) {
  Case test;
  OverlayDisk bad = test.overlay();
  bad.overlay_path = test.rig.folder() / "no-such-folder" / "x.qcow2";
  for (const bool running : {false, true}) {
    if (running) test.rig.start_paused();
    EXPECT_THAT(error_of_action([&] { create_snapshot(test.domain(), {bad}, snapshot_options()); }),
                testing::HasSubstr("no-such-folder"));
  }
}

TEST_F(HypervisorSnapshot, RefusesWhatItDidNotExpect) {
  Case test;
  test.rig.start_paused();
  OverlayDisk other_base = test.overlay();
  other_base.base_path = "/somewhere/else.qcow2";
  EXPECT_EQ(fault_of_action([&] { create_snapshot(test.domain(), {other_base}, snapshot_options()); }),
            Fault::conflict);
  OverlayDisk no_disk = test.overlay();
  no_disk.target = "vdq";
  EXPECT_EQ(fault_of_action([&] { create_snapshot(test.domain(), {no_disk}, snapshot_options()); }), Fault::conflict);
  EXPECT_EQ(fault_of_action([&] { create_snapshot(test.domain(), {}, snapshot_options()); }), Fault::usage);
  std::ofstream(test.overlay().overlay_path) << "somebody's file";
  EXPECT_EQ(fault_of_action([&] { create_snapshot(test.domain(), {test.overlay()}, snapshot_options()); }),
            Fault::conflict);
}

// QEMU that does not answer holds libvirt's call for ever; we must not wait with it.
TEST_F(HypervisorSnapshot, GivesUpAtTheDeadline) {
  Case test;
  test.rig.start_paused();
  SnapshotOptions options = snapshot_options();
  options.deadline = std::chrono::seconds(1);
  const pid_t qemu = test.rig.qemu_pid();
  test.rig.undo().process(qemu);
  Snapshot snapshot(test.domain(), {test.overlay()}, options);
  ASSERT_EQ(::kill(qemu, SIGSTOP), 0);
  const base::Stopwatch watch;
  EXPECT_EQ(fault_of_action([&] { snapshot.take(); }), Fault::busy);
  EXPECT_LT(watch.elapsed(), std::chrono::seconds(10));
  ::kill(qemu, SIGCONT);
}

TEST_F(HypervisorSnapshot, ImagesInUseAreFoundByAnyName) {
  Case test;
  test.rig.start_paused();
  create_snapshot(test.domain(), {test.overlay()}, snapshot_options());
  const std::filesystem::path link = test.rig.folder() / "link.qcow2";
  std::filesystem::create_symlink(test.rig.disk_path(), link);
  const auto uses = users_of(test.connection, link);
  ASSERT_EQ(uses.size(), 1U);
  EXPECT_EQ(uses[0].domain, test.rig.name());
  EXPECT_TRUE(uses[0].running);
  EXPECT_EQ(uses[0].role, "an image below disk vda");
  EXPECT_EQ(users_of(test.connection, test.overlay().overlay_path).at(0).role, "disk vda");
  EXPECT_TRUE(users_of(test.connection, test.rig.folder() / "other.qcow2").empty());
}

}  // namespace
}  // namespace icecore::hypervisor
