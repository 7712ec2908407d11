// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/domain_edit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "unit/hypervisor/fixture_xml.hpp"

namespace icecore::hypervisor {
namespace {

using testing::AnyOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

TEST(DomainEdit, SetsADisksSourceAndNothingElse) {
  const std::string before = normalised_xml(fixture_xml("plain"));
  const std::string after = set_disk_source(before, "vda", "/new/<place>.raw", "raw");
  const DomainModel model = parse_domain(after);
  EXPECT_EQ(model.find_disk("vda")->source.path, "/new/<place>.raw");
  EXPECT_EQ(model.find_disk("vda")->source.format, "raw");
  EXPECT_EQ(model.find_disk("vda")->source.kind, SourceKind::file);
  EXPECT_EQ(model.find_disk("vdb")->source.path, "/dev/vg0/web1-data");
  // The driver's other settings and the graphics password survive.
  EXPECT_THAT(after, HasSubstr("discard=\"unmap\""));
  EXPECT_THAT(after, HasSubstr("passwd=\"secret &amp; more\""));
  EXPECT_THAT(after, HasSubstr("<qemu:arg value=\"-name\"/>"));
  EXPECT_EQ(set_disk_source(after, "vda", "/var/lib/libvirt/images/web1.qcow2", "qcow2"), before);
}

TEST(DomainEdit, HidesThePasswordsOfScreensAndNothingElse) {
  const std::string hidden = without_secrets(fixture_xml("plain"));
  EXPECT_THAT(hidden, Not(HasSubstr("secret")));
  std::string whole = normalised_xml(fixture_xml("plain"));
  const std::string password = " passwd=\"secret &amp; more\"";
  whole.erase(whole.find(password), password.size());
  EXPECT_EQ(hidden, whole);
  EXPECT_EQ(without_secrets(fixture_xml("running")), fixture_xml("running")) << "that has none";
}

TEST(DomainEdit, DropsChainAndJobAndFindsBlockDevices) {
  const std::string after = set_disk_source(fixture_xml("running"), "vda", "/srv/vm/db-1.qcow2", "qcow2");
  const DiskModel vda = *parse_domain(after).find_disk("vda");
  EXPECT_TRUE(vda.backing.empty());
  EXPECT_FALSE(vda.mirror);
  EXPECT_EQ(vda.source.index, 0U);
  EXPECT_THROW(set_disk_source(after, "vdz", "/x", "raw"), base::Error);
}

// "web1's disk was a volume of its pool; after a backup of the stopped domain it was a path."
TEST(DomainEdit, AnImageIsPutBackAsItWasDefined) {
  const std::string before = R"(<domain><name>v</name><devices><disk type="volume" device="disk">
    <driver name="qemu" type="raw" discard="unmap"/>
    <source pool="default" volume="web1" startupPolicy="optional"><seclabel model="dac" relabel="no"/></source>
    <target dev="vda" bus="virtio"/></disk></devices></domain>)";
  const std::string definition = image_definition(before, "vda");
  const std::string meanwhile = set_disk_source(before, "vda", "/pool/o.ovl.qcow2", "qcow2");
  const std::string after = put_image_back(meanwhile, "vda", definition);
  EXPECT_EQ(image_definition(after, "vda"), definition);
  EXPECT_THAT(after, HasSubstr("discard=\"unmap\""));
  EXPECT_THAT(after, HasSubstr("<seclabel model=\"dac\" relabel=\"no\"/>"));
  EXPECT_THAT(after, Not(HasSubstr("ovl")));
  EXPECT_EQ(parse_domain(after).find_disk("vda")->source.volume, "web1");
}

TEST(DomainEdit, PuttingAnImageBackTakesOutAChainThatWasNotThere) {
  const std::string plain = set_disk_source(fixture_xml("running"), "vda", "/srv/vm/db-1.qcow2", "qcow2");
  const std::string after = put_image_back(fixture_xml("running"), "vda", image_definition(plain, "vda"));
  const DiskModel vda = *parse_domain(after).find_disk("vda");
  EXPECT_TRUE(vda.backing.empty());
  EXPECT_FALSE(vda.mirror);
  EXPECT_THROW(image_definition(plain, "vdz"), base::Error);
}

RestoreXmlOptions second_domain() {
  RestoreXmlOptions options;
  options.name = "db-copy";
  options.new_identity = true;
  options.disks = {{"vda", "/new/vda.qcow2", "qcow2"}, {"vdb", "/new/vdb.raw", "raw"}};
  options.nvram_path = "/new/db-copy_VARS.fd";
  return options;
}

TEST(RestoreXml, MakesASecondDomain) {
  const RestoreXml made = make_restore_xml(fixture_xml("running"), second_domain());
  const DomainModel model = parse_domain(made.xml);
  EXPECT_EQ(model.name, "db-copy");
  EXPECT_EQ(made.name, "db-copy");
  EXPECT_EQ(model.uuid, made.uuid);
  EXPECT_NE(made.uuid, "0b9b2cd2-91c4-4f0e-9d4f-a7b3c1c6d102");
  EXPECT_THAT(made.xml, HasSubstr("<entry name=\"uuid\">" + made.uuid + "</entry>"));
  EXPECT_THAT(made.xml, HasSubstr("Somebody"));
  EXPECT_THAT(made.xml, Not(HasSubstr("11111111-2222")));
  EXPECT_THAT(made.xml, Not(HasSubstr("52:54:00:aa:bb")));
  EXPECT_EQ(model.nvram, "/new/db-copy_VARS.fd");
  EXPECT_EQ(model.nvram_template, "/usr/share/OVMF/OVMF_VARS_4M.ms.fd");
  EXPECT_EQ(model.find_disk("vda")->source.path, "/new/vda.qcow2");
  EXPECT_TRUE(model.find_disk("vda")->backing.empty());
  EXPECT_EQ(model.find_disk("vdb")->source.format, "raw");
  EXPECT_EQ(model.find_disk("vdc"), nullptr);
  EXPECT_THAT(made.notices, Contains(HasSubstr("disk vdc was not restored")));
  EXPECT_THAT(made.notices, Contains(HasSubstr("host devices")));
  EXPECT_THAT(made.notices, Contains(HasSubstr("TPM")));
}

TEST(RestoreXml, NamesBootFilesWhereTheyAreNow) {
  RestoreXmlOptions options;
  options.boot_files = {{"/boot/vmlinuz", "/new/vmlinuz"}, {"/boot/of-another", "/new/x"}};
  const DomainModel model = parse_domain(make_restore_xml(fixture_xml("odd_disks"), options).xml);
  EXPECT_EQ(model.kernel, "/new/vmlinuz");
  EXPECT_EQ(model.initrd, "/boot/initrd.img");
}

TEST(RestoreXml, SaysWhatATpmIsWorthInASecondDomain) {
  RestoreXmlOptions options = second_domain();
  EXPECT_THAT(make_restore_xml(fixture_xml("running"), options).notices, Contains(HasSubstr("an empty one")));
  options.tpm_restored = true;
  EXPECT_THAT(make_restore_xml(fixture_xml("running"), options).notices, Contains(HasSubstr("keys of the original")));
}

TEST(RestoreXml, TakesOutWhatOnlyARunningDomainHas) {
  const RestoreXml made = make_restore_xml(fixture_xml("running"), second_domain());
  for (const char* gone :
       {"id=\"7\"", "vnet3", "unwanted", "portid", "/dev/pts", "domain-7-db-1", "state=\"connected\"", "64055",
        "virtio-disk0", "mirror", "backingStore", "address=\"9\"", "5903", "index=", "tap-db"}) {
    EXPECT_THAT(made.xml, Not(HasSubstr(gone)));
  }
  // The user's own names stay.
  for (const char* kept : {"ua-data", "baselabel", "org.qemu.guest_agent.0", "type=\"pci\""}) {
    EXPECT_THAT(made.xml, HasSubstr(kept));
  }
}

TEST(RestoreXml, KeepsTheIdentityWhenItReplaces) {
  RestoreXmlOptions options;
  options.disks = {{"vda", "/new/vda.qcow2", "qcow2"}};
  options.keep_other_disks = true;
  const RestoreXml made = make_restore_xml(fixture_xml("running"), options);
  EXPECT_EQ(made.name, "db-1");
  EXPECT_EQ(made.uuid, "0b9b2cd2-91c4-4f0e-9d4f-a7b3c1c6d102");
  EXPECT_THAT(made.xml, HasSubstr("52:54:00:aa:bb:cc"));
  EXPECT_THAT(made.xml, HasSubstr("tap-db"));
  const DomainModel model = parse_domain(made.xml);
  EXPECT_EQ(model.find_disk("vdc")->source.path, "/srv/vm/scratch.qcow2");
  EXPECT_EQ(model.nvram, "/var/lib/libvirt/qemu/nvram/db-1_VARS.fd");
}

// "running" since then: its vdc was moved and has become raw, and it has got a vdz.
std::string changed_since() {
  std::string xml = set_disk_source(fixture_xml("running"), "vdc", "/moved/scratch.raw", "raw");
  const std::string more =
      "<disk type='file' device='disk'><driver name='qemu' type='qcow2' iothread='2'/><source "
      "file='/srv/vm/more.qcow2'/>"
      "<target dev='vdz' bus='virtio'/><boot order='1'/><address type='pci' domain='0x0000' bus='0x04' slot='0x00' "
      "function='0x0'/>"
      "</disk>";
  xml.insert(xml.find("</devices>"), more);
  return xml.insert(xml.find("<devices>"), "<iothreads>2</iothreads>");
}

std::string without_disk(std::string xml, const std::string& target) {
  const std::size_t at = xml.find("<target dev='" + target + "'");
  const std::size_t from = xml.rfind("<disk ", at);
  return xml.erase(from, xml.find("</disk>", at) + std::string("</disk>").size() - from);
}

TEST(RestoreXml, KeepsOtherDisksWhereTheyLieNow) {
  RestoreXmlOptions options;
  options.disks = {{"vda", "/new/vda.qcow2", "qcow2"}};
  options.keep_other_disks = true;
  options.present_xml = changed_since();
  options.single_disks = true;
  const RestoreXml made = make_restore_xml(fixture_xml("running"), options);
  const DomainModel model = parse_domain(made.xml);
  EXPECT_EQ(model.find_disk("vda")->source.path, "/new/vda.qcow2");
  EXPECT_EQ(model.find_disk("vdc")->source.path, "/moved/scratch.raw");
  EXPECT_EQ(model.find_disk("vdc")->source.format, "raw");
  ASSERT_NE(model.find_disk("vdz"), nullptr);
  EXPECT_EQ(model.find_disk("vdz")->source.path, "/srv/vm/more.qcow2");
  EXPECT_THAT(made.notices, Not(Contains(HasSubstr("vdz"))));
  EXPECT_THAT(made.xml, Not(AnyOf(HasSubstr("boot order=\"1\""), HasSubstr("iothread=\"2\""))));
}

TEST(RestoreXml, TellsOfADiskThatCameAfterThePointAndOfOneThatWent) {
  RestoreXmlOptions options;
  options.disks = {{"vda", "/new/vda.qcow2", "qcow2"}};
  options.keep_other_disks = true;
  options.present_xml = changed_since();
  const RestoreXml whole = make_restore_xml(fixture_xml("running"), options);
  EXPECT_EQ(parse_domain(whole.xml).find_disk("vdz"), nullptr);
  EXPECT_THAT(whole.notices, Contains(HasSubstr("disk vdz")));
  // At its old path may be another domain's by now.
  options.present_xml = without_disk(fixture_xml("running"), "vdc");
  const RestoreXml gone = make_restore_xml(fixture_xml("running"), options);
  EXPECT_EQ(parse_domain(gone.xml).find_disk("vdc"), nullptr);
  EXPECT_THAT(gone.notices, Contains(HasSubstr("disk vdc was not restored")));
  options.single_disks = true;
  const RestoreXml without = make_restore_xml(changed_since(), [&] {
    options.present_xml = fixture_xml("running");
    return options;
  }());
  EXPECT_EQ(parse_domain(without.xml).find_disk("vdz"), nullptr);
  EXPECT_THAT(without.notices, Contains(HasSubstr("disk vdz")));
}

TEST(RestoreXml, LeavesAVolumeNamedAsItWas) {
  RestoreXmlOptions options;
  options.disks = {{"vdg", "/pool/vol", "raw", true}};
  const DiskModel disk = *parse_domain(make_restore_xml(fixture_xml("odd_disks"), options).xml).find_disk("vdg");
  EXPECT_EQ(disk.source.kind, SourceKind::volume);
  EXPECT_FALSE(disk.source.pool.empty());
  EXPECT_EQ(disk.source.format, "raw");
}

TEST(RestoreXml, EmptiesDrivesWhoseMediumIsMissing) {
  RestoreXmlOptions options;
  options.disks = {{"vda", "/new/vda.qcow2", "qcow2"}, {"vdb", "/new/vdb.raw", "raw"}};
  const RestoreXml made = make_restore_xml(fixture_xml("plain"), options);
  EXPECT_EQ(parse_domain(made.xml).find_disk("sda")->source.kind, SourceKind::none);
  EXPECT_THAT(made.notices, Contains(HasSubstr("/nowhere/debian-12.iso")));
  EXPECT_EQ(parse_domain(made.xml).find_disk("vdb")->source.kind, SourceKind::file);
}

TEST(RestoreXml, RefusesADiskTheDomainHasNot) {
  RestoreXmlOptions options;
  options.disks = {{"vdq", "/new/vdq.raw", "raw"}};
  EXPECT_THROW(make_restore_xml(fixture_xml("plain"), options), base::Error);
  EXPECT_THROW(make_restore_xml("<pool/>", {}), base::Error);
}

}  // namespace
}  // namespace icecore::hypervisor
