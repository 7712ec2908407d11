// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/domain_model.hpp"
#include "hypervisor/state_folders.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "unit/hypervisor/fixture_xml.hpp"

namespace icecore::hypervisor {
namespace {

TEST(DomainModel, ReadsAPersistentDomain) {
  const DomainModel model = parse_domain(fixture_xml("plain"));
  EXPECT_EQ(model.name, "web1");
  EXPECT_EQ(model.uuid, "6d1e3c5a-7f6b-4c55-9b7e-1c1f6a8e2f01");
  EXPECT_EQ(model.type, "kvm");
  EXPECT_EQ(model.agent, AgentChannel::disconnected);
  EXPECT_FALSE(model.windows);
  EXPECT_TRUE(model.loader.empty());
  ASSERT_EQ(model.disks.size(), 3U);
  const DiskModel& vda = model.disks[0];
  EXPECT_EQ(vda.target, "vda");
  EXPECT_EQ(vda.device, "disk");
  EXPECT_EQ(vda.bus, "virtio");
  EXPECT_EQ(vda.serial, "system-disk");
  EXPECT_EQ(vda.source.kind, SourceKind::file);
  EXPECT_EQ(vda.source.path, "/var/lib/libvirt/images/web1.qcow2");
  EXPECT_EQ(vda.source.format, "qcow2");
  EXPECT_FALSE(vda.chain_known);
  EXPECT_EQ(model.disks[1].source.kind, SourceKind::block);
  EXPECT_EQ(model.disks[1].source.path, "/dev/vg0/web1-data");
  EXPECT_TRUE(model.disks[2].readonly);
  EXPECT_EQ(model.find_disk("vdx"), nullptr);
}

TEST(DomainModel, ReadsChainsAndJobsOfARunningDomain) {
  const DomainModel model = parse_domain(fixture_xml("running"));
  const DiskModel* vda = model.find_disk("vda");
  ASSERT_NE(vda, nullptr);
  EXPECT_EQ(vda->source.index, 5U);
  ASSERT_EQ(vda->backing.size(), 2U);
  EXPECT_TRUE(vda->chain_known);
  EXPECT_EQ(vda->backing[0].path, "/srv/vm/db-1.qcow2");
  EXPECT_EQ(vda->backing[0].index, 3U);
  EXPECT_EQ(vda->backing[1].path, "/srv/vm/template.qcow2");
  EXPECT_EQ(vda->backing[1].format, "qcow2");
  ASSERT_TRUE(vda->mirror);
  EXPECT_EQ(vda->mirror->job, "active-commit");
  EXPECT_TRUE(vda->mirror->ready);
  EXPECT_EQ(vda->mirror->image.path, "/srv/vm/db-1.qcow2");
  const DiskModel* vdb = model.find_disk("vdb");
  EXPECT_EQ(vdb->backing.at(0).kind, SourceKind::block);
  EXPECT_EQ(vdb->backing.at(0).path, "/dev/vg0/db-data");
  EXPECT_FALSE(vdb->mirror);
  // A job that is being ended must not be taken for one that may be pivoted.
  EXPECT_FALSE(model.find_disk("vdc")->mirror->ready);
}

TEST(DomainModel, ReadsFirmwareAgentAndDevices) {
  const DomainModel model = parse_domain(fixture_xml("running"));
  EXPECT_EQ(model.loader, "/usr/share/OVMF/OVMF_CODE_4M.ms.fd");
  EXPECT_TRUE(model.secure_boot_loader);
  EXPECT_EQ(model.nvram, "/var/lib/libvirt/qemu/nvram/db-1_VARS.fd");
  EXPECT_EQ(model.nvram_template, "/usr/share/OVMF/OVMF_VARS_4M.ms.fd");
  EXPECT_EQ(model.agent, AgentChannel::connected);
  ASSERT_TRUE(model.tpm);
  EXPECT_EQ(model.tpm->version, "2.0");
  EXPECT_TRUE(model.tpm->secret.empty());
  EXPECT_TRUE(model.host_devices);
  EXPECT_TRUE(model.virtio_fs);
  EXPECT_EQ(model.security_labels, (std::vector<std::string>{"dac", "apparmor"}));
  // No libosinfo, but Hyper-V enlightenments.
  EXPECT_TRUE(model.windows);
}

TEST(DomainModel, ReadsWhereFirmwareAndTpmKeepTheirState) {
  const auto parse = [](const std::string& os, const std::string& devices) {
    return parse_domain("<domain type='kvm'><name>v</name><uuid>u</uuid>" + os + "<devices>" + devices +
                        "</devices></domain>");
  };
  EXPECT_TRUE(parse("<os firmware='efi'/>", "").firmware_chosen);
  EXPECT_FALSE(parse("<os/>", "").firmware_chosen);
  const DomainModel block = parse("<os><nvram type='block'><source dev='/dev/x'/></nvram><dtb>/b</dtb></os>", "");
  EXPECT_EQ(block.nvram, "");
  EXPECT_EQ(block.nvram_type, "block");
  EXPECT_EQ(block.dtb, "/b");
  const DomainModel odd = parse("",
                                "<tpm><backend type='passthrough'/></tpm><tpm><backend type='emulator' version='1.2'>"
                                "<source type='dir' path='/t'/><encryption secret='s'/></backend></tpm>");
  ASSERT_TRUE(odd.tpm);
  EXPECT_EQ(odd.tpm->version + odd.tpm->source_type + odd.tpm->source + odd.tpm->secret, "1.2dir/ts");
  EXPECT_EQ(tpm_state_folder("qemu:///system", "u", *odd.tpm), "/t");
  EXPECT_EQ(tpm_state_folder("qemu:///system", "u", {.version = "1.2"}), "/var/lib/libvirt/swtpm/u/tpm1.2");
  EXPECT_EQ(tpm_state_folder("qemu:///system", "u", {.version = "2.0"}), "/var/lib/libvirt/swtpm/u/tpm2");
  EXPECT_EQ(default_nvram_path("qemu:///system", "v"), "/var/lib/libvirt/qemu/nvram/v_VARS.fd");
  EXPECT_TRUE(default_nvram_path("qemu:///session", "v").string().ends_with("libvirt/qemu/nvram/v_VARS.fd"));
}

TEST(DomainModel, ReadsOddSources) {
  const DomainModel model = parse_domain(fixture_xml("odd_disks"));
  EXPECT_TRUE(model.windows);
  EXPECT_EQ(model.nvram, "/var/lib/libvirt/qemu/nvram/odd.qcow2");
  EXPECT_EQ(model.nvram_format, "qcow2");
  EXPECT_EQ(model.kernel, "/boot/vmlinuz");
  EXPECT_EQ(model.initrd, "/boot/initrd.img");
  EXPECT_EQ(model.find_disk("hda")->source.kind, SourceKind::none);
  EXPECT_EQ(model.find_disk("vda")->device, "disk");
  EXPECT_EQ(model.find_disk("vde")->source.protocol, "rbd");
  EXPECT_EQ(model.find_disk("vde")->source.path, "pool/image");
  EXPECT_EQ(model.find_disk("vdf")->source.kind, SourceKind::vhost_user);
  EXPECT_EQ(model.find_disk("vdg")->source.pool, "default");
  EXPECT_EQ(model.find_disk("vdg")->source.volume, "odd.qcow2");
  EXPECT_EQ(model.find_disk("vdh")->source.kind, SourceKind::nvme);
  EXPECT_EQ(model.find_disk("vdi")->source.kind, SourceKind::folder);
  EXPECT_NE(model.find_disk("vdl")->encryption.find("f981dd17"), std::string::npos);
}

TEST(DomainModel, DamagedXmlIsCorruptAndSaysWhere) {
  for (const char* text : {"", "<domain", "<domain><name>x</name>", "<pool/>", "<domain type='kvm'/>"}) {
    try {
      parse_domain(text);
      FAIL() << text;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), base::Fault::corrupt) << text;
    }
  }
  try {
    parse_domain("<domain>\n<name>x</name>\n</domian>");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_NE(std::string(error.what()).find("line 3"), std::string::npos) << error.what();
  }
}

TEST(DomainModel, ExternalEntitiesAreNotRead) {
  const std::string text =
      "<!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/hostname'>]><domain><name>a&e;b</name><uuid>u</uuid></domain>";
  EXPECT_EQ(parse_domain(text).name, "ab");
}

}  // namespace
}  // namespace icecore::hypervisor
