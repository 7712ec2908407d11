// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/overlay_disk.hpp"

#include <gtest/gtest.h>

#include "hypervisor/snapshot.hpp"
#include "unit/hypervisor/fixture_xml.hpp"

namespace icecore::hypervisor {
namespace {

const OverlayDisk k_vda{"vda", "/srv/vm/db-1.qcow2", "/srv/vm/0b9b.vda.r1.ovl.qcow2"};
const OverlayDisk k_vdb{"vdb", "/dev/vg0/db-data", "/srv/vm/0b9b.vdb.r1.ovl.qcow2"};

TEST(OverlayDisk, PlacesComeFromTheXml) {
  DomainModel model = parse_domain(fixture_xml("running"));
  EXPECT_EQ(place_of(model, k_vda), DiskPlace::committing);
  EXPECT_EQ(place_of(model, k_vdb), DiskPlace::on_overlay);
  // A cancelled commit on its way out.
  model.disks[0].mirror->job.clear();
  EXPECT_EQ(place_of(model, k_vda), DiskPlace::committing);
  model.disks[0].mirror.reset();
  EXPECT_EQ(place_of(model, k_vda), DiskPlace::on_overlay);
  model.disks[0].source.path = k_vda.base_path;
  model.disks[0].backing.clear();
  EXPECT_EQ(place_of(model, k_vda), DiskPlace::on_base);
}

// Seen once in some hundred backups: "cannot commit disk vda ...: vda is on its base, with block job '' to its base".
TEST(OverlayDisk, ACommitEndingAfterItsPivotIsStillCommitting) {
  DomainModel model = parse_domain(fixture_xml("running"));
  model.disks[0].source.path = k_vda.base_path;
  model.disks[0].mirror->job.clear();
  model.disks[0].mirror->image.path = k_vda.base_path;
  EXPECT_EQ(place_of(model, k_vda), DiskPlace::committing);
}

TEST(OverlayDisk, AnythingUnexpectedIsElsewhere) {
  const DomainModel model = parse_domain(fixture_xml("running"));
  EXPECT_EQ(place_of(model, {"vdq", "/a", "/b"}), DiskPlace::elsewhere);
  EXPECT_EQ(place_of(model, {"vda", "/srv/vm/template.qcow2", k_vda.overlay_path}), DiskPlace::elsewhere);
  EXPECT_EQ(place_of(model, {"vda", "/srv/vm/template.qcow2", k_vda.base_path}), DiskPlace::elsewhere);
  // A copy job of somebody else's on a disk that is on its base.
  EXPECT_EQ(place_of(model, {"vdc", "/srv/vm/scratch.qcow2", "/srv/vm/o.qcow2"}), DiskPlace::elsewhere);
  DomainModel other_job = model;
  other_job.disks[0].mirror->job = "copy";
  EXPECT_EQ(place_of(other_job, k_vda), DiskPlace::elsewhere);
}

TEST(OverlayDisk, PersistentXmlWithoutChainIsTakenByItsSource) {
  DomainModel model = parse_domain(fixture_xml("plain"));
  model.disks[0].source.path = "/overlay";
  EXPECT_EQ(place_of(model, {"vda", "/base", "/overlay"}), DiskPlace::on_overlay);
  // A chain that is known to end with the overlay is not ours.
  model.disks[0].chain_known = true;
  EXPECT_EQ(place_of(model, {"vda", "/base", "/overlay"}), DiskPlace::elsewhere);
}

TEST(OverlayDisk, DescriptionNamesTheWholeChain) {
  const DomainModel model = parse_domain(fixture_xml("running"));
  const std::string text = describe_place(model, "vda");
  for (const char* part :
       {"/srv/vm/0b9b.vda.r1.ovl.qcow2", "/srv/vm/db-1.qcow2", "/srv/vm/template.qcow2", "active-commit"}) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
  EXPECT_EQ(describe_place(model, "vdq"), "the domain has no disk 'vdq' any more");
}

TEST(SnapshotXml, NamesEveryDisk) {
  const DomainModel model = parse_domain(fixture_xml("odd_disks"));
  const std::string xml = snapshot_xml(model, {{"vda", "/srv/odd.qcow2", "/srv/o&1.ovl.qcow2"}});
  std::size_t refused = 0;
  for (auto at = xml.find("snapshot=\"no\""); at != std::string::npos; at = xml.find("snapshot=\"no\"", at + 1))
    ++refused;
  EXPECT_EQ(refused, model.disks.size() - 1);
  EXPECT_NE(xml.find("<disk name=\"vda\" snapshot=\"external\" type=\"file\">"), std::string::npos) << xml;
  EXPECT_NE(xml.find("<source file=\"/srv/o&amp;1.ovl.qcow2\"/>"), std::string::npos) << xml;
}

}  // namespace
}  // namespace icecore::hypervisor
