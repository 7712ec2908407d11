// SPDX-License-Identifier: Apache-2.0
// Against libvirt's own test driver, which knows one network and one pool and no capabilities of domains.
#include "hypervisor/compatibility.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace icecore::hypervisor {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> blocking(const std::string& inside, const std::string& devices) {
  Connection connection("test:///default");
  std::vector<std::string> found;
  const std::string xml = "<domain type='test'><name>x</name>" + inside + "<devices>" + devices + "</devices></domain>";
  for (const Finding& finding : check_compatibility(connection, xml)) {
    EXPECT_FALSE(finding.cure.empty());
    if (finding.blocks) found.push_back(finding.what);
  }
  return found;
}

TEST(Compatibility, AHostThatHasEverythingIsFine) {
  EXPECT_THAT(blocking("<os><type>hvm</type></os>",
                       "<interface type='network'><source network='default'/></interface>"
                       "<interface type='bridge'><source bridge='lo'/></interface>"
                       "<interface type='user'/>"
                       "<disk type='volume'><source pool='default-pool' volume='a'/><target dev='vda'/></disk>"
                       "<filesystem type='mount'><source dir='/'/></filesystem>"),
              IsEmpty());
}

TEST(Compatibility, MissingNetworksAndBridgesAreNamed) {
  EXPECT_THAT(blocking("",
                       "<interface type='network'><source network='nowhere'/></interface>"
                       "<interface type='bridge'><source bridge='nobr'/></interface>"
                       "<interface type='direct'><source dev='nonic'/></interface>"),
              ElementsAre("there is no network 'nowhere' here", "there is no bridge 'nobr' here",
                          "there is no network device 'nonic' here"));
}

TEST(Compatibility, ABridgeOfOpenVSwitchIsNotLookedFor) {
  EXPECT_THAT(
      blocking("", "<interface type='bridge'><source bridge='nobr'/><virtualport type='openvswitch'/></interface>"),
      IsEmpty());
}

TEST(Compatibility, MissingDevicesFoldersAndPoolsAreNamed) {
  const auto found = blocking(
      "",
      "<hostdev type='pci'><source><address domain='0xfffe' bus='0x01' slot='0x00' function='0x1'/></source></hostdev>"
      "<hostdev type='usb'><source><vendor id='0xfffe'/><product id='0xfffe'/></source></hostdev>"
      "<filesystem type='mount'><source dir='/nowhere/at/all'/></filesystem>"
      "<disk type='volume'><source pool='nopool' volume='a'/><target dev='vda'/></disk>");
  ASSERT_EQ(found.size(), 4U);
  EXPECT_THAT(found[0], testing::HasSubstr("fffe:01:00.1"));
  EXPECT_THAT(found[1], testing::HasSubstr("0xfffe:0xfffe"));
  EXPECT_THAT(found[2], testing::HasSubstr("/nowhere/at/all"));
  EXPECT_THAT(found[3], testing::HasSubstr("'nopool'"));
}

TEST(Compatibility, MissingFirmwareIsNamed) {
  EXPECT_THAT(blocking("<os><loader>/nowhere/OVMF_CODE.fd</loader></os>", ""),
              ElementsAre("the firmware '/nowhere/OVMF_CODE.fd' is not on this host"));
}

}  // namespace
}  // namespace icecore::hypervisor
