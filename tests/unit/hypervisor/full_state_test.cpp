// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/full_state.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hypervisor/saved_image.hpp"

namespace icecore::hypervisor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string domain(const std::string& inside, const std::string& devices = "") {
  return "<domain type='kvm'><name>a</name><memory unit='KiB'>262144</memory>" + inside + "<devices>" + devices +
         "</devices></domain>";
}

TEST(FullStateNeeds, AnOrdinaryDomainHasNoBlocker) {
  const FullStateNeeds needs = full_state_needs(
      domain("<cpu mode='host-model'/>",
             "<disk type='file'><target dev='vda'/></disk><interface type='network'/><filesystem type='mount'/>"));
  EXPECT_THAT(needs.blockers, IsEmpty());
  EXPECT_GE(needs.memory_bytes, 256U << 20U);
}

TEST(FullStateNeeds, TellWhetherQemuEmulatesAndMayMissWrites) {
  EXPECT_FALSE(full_state_needs(domain("")).emulated);
  EXPECT_TRUE(full_state_needs("<domain type='qemu'><name>a</name><memory>1024</memory><devices/></domain>").emulated);
  EXPECT_TRUE(misses_writes(8'002'010));
  EXPECT_FALSE(misses_writes(9'000'000));
}

struct Blocker {
  std::string xml;
  std::string part;
};
class FullStateBlocker : public testing::TestWithParam<Blocker> {};

TEST_P(FullStateBlocker, IsNamed) {
  EXPECT_THAT(full_state_needs(GetParam().xml).blockers, ElementsAre(HasSubstr(GetParam().part)));
}

INSTANTIATE_TEST_SUITE_P(
    Each, FullStateBlocker,
    testing::Values(
        Blocker{domain("", "<hostdev mode='subsystem' type='pci'/>"), "pci"},
        Blocker{domain("", "<interface type='hostdev'/>"), "network card"},
        Blocker{domain("", "<interface type='vdpa'/>"), "vdpa"},
        Blocker{domain("", "<filesystem><driver type='virtiofs'/><source dir='/srv'/></filesystem>"), "/srv"},
        Blocker{domain("", "<shmem name='x' role='peer'/>"), "shmem"},
        Blocker{domain("", "<video><model type='virtio'><acceleration accel3d='yes'/></model></video>"), "accel3d"},
        Blocker{domain("", "<disk type='file'><target dev='vdb'/><transient/></disk>"), "vdb is transient"},
        Blocker{domain("", "<disk type='nvme'><target dev='vdb'/></disk>"), "NVMe"},
        Blocker{domain("", "<disk type='file'><target dev='vdb'/><mirror/></disk>"), "block job"},
        Blocker{domain("",
                       "<disk type='file'><source file='/a'><encryption format='luks'/></source>"
                       "<target dev='vdb'/></disk>"),
                "vdb is encrypted by QEMU"},
        Blocker{domain("<cpu><feature name='invtsc' policy='require'/></cpu>"), "invtsc"},
        Blocker{domain("<cpu migratable='off'/>"), "not migratable"},
        Blocker{domain("<launchSecurity type='sev'/>"), "launchSecurity"}),
    [](const auto& blocker) { return "blocker_" + std::to_string(blocker.index); });

TEST(FullStateNeeds, AnInvariantClockOfKnownPaceIsFine) {
  EXPECT_THAT(full_state_needs(domain("<cpu><feature name='invtsc' policy='require'/></cpu><clock><timer name='tsc' "
                                      "frequency='2000000000'/></clock>"))
                  .blockers,
              IsEmpty());
}

TEST(AdaptSavedXml, DisksAndNetworksFollowTheDefinition) {
  const std::string saved =
      domain("",
             "<disk type='file'><driver name='qemu' type='qcow2' cache='none'/><source file='/old/a' index='2'>"
             "<seclabel model='dac' relabel='no'/></source><backingStore type='file'/><target dev='vda'/><alias "
             "name='virtio-disk0'/></disk>"
             "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='old' portid='x' bridge='b'/>"
             "<target dev='vnet3'/></interface>");
  const std::string defined =
      domain("",
             "<disk type='block'><driver name='qemu' type='raw'/><source dev='/dev/new'/><target dev='vda'/></disk>"
             "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br1'/></interface>");
  const std::string adapted = adapt_saved_xml(saved, defined);
  EXPECT_THAT(adapted, HasSubstr("dev=\"/dev/new\""));
  EXPECT_THAT(adapted, HasSubstr("cache=\"none\""));
  EXPECT_THAT(adapted, HasSubstr("type=\"raw\""));
  EXPECT_THAT(adapted, HasSubstr("virtio-disk0"));
  EXPECT_THAT(adapted, HasSubstr("<seclabel model=\"dac\" relabel=\"no\"/>"));
  EXPECT_THAT(adapted, HasSubstr("bridge=\"br1\""));
  for (const char* gone : {"/old/a", "index", "backingStore", "network=\"old\"", "vnet3"})
    EXPECT_THAT(adapted, Not(HasSubstr(gone)));
}

TEST(AdaptSavedXml, FilesOfTheHostFollowTheDefinition) {
  const std::string saved = domain(
      "<os><nvram type='file' template='/t'><source file='/old/vars'/></nvram><kernel>/old/kernel</kernel>"
      "<initrd>/same</initrd></os>",
      "<emulator>/old/qemu</emulator>");
  const std::string defined =
      domain("<os><nvram template='/t'>/new/vars</nvram><kernel>/new/kernel</kernel><initrd>/same</initrd></os>");
  const std::string adapted = adapt_saved_xml(saved, defined);
  for (const char* now : {"template=\"/t\"", ">/new/vars<", ">/new/kernel<", ">/same<"})
    EXPECT_THAT(adapted, HasSubstr(now));
  for (const char* gone : {"/old/", "<source", "<emulator"}) EXPECT_THAT(adapted, Not(HasSubstr(gone)));
}

}  // namespace
}  // namespace icecore::hypervisor
