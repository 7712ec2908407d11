// SPDX-License-Identifier: Apache-2.0
// What the XML of encrypted disks is read as and made into; the secrets themselves are in the system tests.
#include "hypervisor/disk_encryption.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "hypervisor/put_on_overlays.hpp"
#include "hypervisor/snapshot.hpp"

namespace icecore::hypervisor {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string k_luks = "<encryption format='luks'><secret type='passphrase' uuid='u'/></encryption>";

DiskModel disk(const std::string& encryption) {
  DiskModel model;
  model.target = "vda";
  model.encryption = encryption;
  model.source = {.kind = SourceKind::file, .path = "/i/a.qcow2", .format = "qcow2"};
  return model;
}

TEST(DiskEncryption, OnlyLuksInAQcow2FileWithOneSecretIsTaken) {
  EXPECT_EQ(encryption_objection(disk("")), "");
  EXPECT_EQ(encryption_objection(disk(k_luks)), "");
  EXPECT_EQ(
      encryption_objection(disk("<encryption format='luks'><secret type='passphrase' usage='/i/a'/></encryption>")),
      "");
  EXPECT_THAT(encryption_objection(disk("<encryption format='luks2'><secret uuid='u'/></encryption>")),
              HasSubstr("'luks2'"));
  EXPECT_THAT(encryption_objection(disk("<encryption format='luks'/>")), HasSubstr("one secret"));
  EXPECT_THAT(encryption_objection(disk("<encryption format='luks'><secret uuid='u'/><secret uuid='v'/></encryption>")),
              HasSubstr("one secret"));
  DiskModel raw = disk(k_luks);
  raw.source.format = "raw";
  EXPECT_THAT(encryption_objection(raw), HasSubstr("LUKS in raw"));
  DiskModel device = disk(k_luks);
  device.source.kind = SourceKind::block;
  EXPECT_THAT(encryption_objection(device), HasSubstr("block device"));
}

TEST(DiskEncryption, TheElementIsFoundInTheDiskAndInItsSource) {
  for (const std::string& body : {"<source file='/a'>" + k_luks + "</source>", "<source file='/a'/>" + k_luks}) {
    const DomainModel model = parse_domain("<domain><name>n</name><devices><disk type='file'>" + body +
                                           "<target dev='vda'/></disk></devices></domain>");
    EXPECT_THAT(model.find_disk("vda")->encryption, HasSubstr("uuid=\"u\""));
  }
}

TEST(DiskEncryption, TheOverlayNamesItsEngineAndTheSameSecret) {
  EXPECT_THAT(overlay_encryption(k_luks), HasSubstr("engine=\"qemu\""));
  EXPECT_THAT(overlay_encryption(k_luks), HasSubstr("uuid=\"u\""));
  DomainModel model;
  model.disks = {disk(k_luks)};
  const std::string xml = snapshot_xml(model, {{.target = "vda",
                                                .base_path = "/i/a.qcow2",
                                                .overlay_path = "/i/o.qcow2",
                                                .encryption = overlay_encryption(k_luks)}});
  EXPECT_THAT(xml, HasSubstr("engine=\"qemu\""));
}

TEST(PutOnOverlays, BelowAnEncryptedOneStandsItsBase) {
  const std::string before = R"(<domain><name>n</name><devices>
    <disk type="file"><driver name="qemu" type="qcow2" discard="unmap"/>
      <source file="/i/a.qcow2"><encryption format="luks"><secret type="passphrase" uuid="u"/></encryption></source>
      <target dev="vda"/></disk>
    <disk type="block"><driver name="qemu" type="raw"/><source dev="/dev/x"/><target dev="vdb"/></disk>
    <disk type="file"><driver name="qemu" type="raw"/><source file="/i/c.raw"/><target dev="vdc"/></disk>
    </devices></domain>)";
  const std::vector<OverlayDisk> disks = {{.target = "vda",
                                           .base_path = "/i/a.qcow2",
                                           .overlay_path = "/i/a.ovl.qcow2",
                                           .encryption = overlay_encryption(k_luks)},
                                          {.target = "vdb", .base_path = "/dev/x", .overlay_path = "/i/b.ovl.qcow2"}};
  const std::string after = put_on_overlays(before, disks);
  const DomainModel model = parse_domain(after);
  EXPECT_EQ(place_of(model, disks[0]), DiskPlace::on_overlay);
  EXPECT_EQ(place_of(model, disks[1]), DiskPlace::on_overlay);
  EXPECT_EQ(model.find_disk("vda")->backing.at(0).format, "qcow2");
  EXPECT_THAT(model.find_disk("vda")->encryption, HasSubstr("uuid=\"u\""));
  EXPECT_TRUE(model.find_disk("vdb")->backing.empty());
  EXPECT_EQ(model.find_disk("vdb")->source.kind, SourceKind::file);
  EXPECT_EQ(model.find_disk("vdc")->source.path, "/i/c.raw");
  EXPECT_THAT(after, HasSubstr("discard=\"unmap\""));
  // The base opens by the same secret.
  EXPECT_THAT(after.substr(after.find("<backingStore")), HasSubstr("engine=\"qemu\""));
  const std::vector<OverlayDisk> none = {{.target = "vdz"}};
  EXPECT_THROW(put_on_overlays(before, none), base::Error);
}

}  // namespace
}  // namespace icecore::hypervisor
