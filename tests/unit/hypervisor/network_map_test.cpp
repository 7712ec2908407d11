// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/network_map.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "hypervisor/xml_document.hpp"

namespace icecore::hypervisor {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string mapped(const std::string& interfaces, const std::vector<NetworkMapping>& mappings) {
  const XmlDocument document = XmlDocument::parse("<devices>" + interfaces + "</devices>", "a test");
  map_networks(document.root(), mappings);
  return document.text();
}

const std::string k_port_group = "<interface type='network'><source network='lan' portgroup='red'/></interface>";

TEST(NetworkMap, ANetworkGetsAnotherNameAndKeepsItsPortGroup) {
  EXPECT_THAT(mapped(k_port_group, {{"lan", "wan"}}), HasSubstr(R"(<source portgroup="red" network="wan"/>)"));
}

TEST(NetworkMap, APortGroupIsNamedWithItsNetwork) {
  EXPECT_THAT(mapped(k_port_group, {{"lan/red", "wan/blue"}}), HasSubstr(R"(network="wan" portgroup="blue")"));
  EXPECT_THAT(mapped(k_port_group, {{"lan/red", "wan"}}), Not(HasSubstr("portgroup")));
}

TEST(NetworkMap, ABridgeStaysABridgeUnlessItIsSaidOtherwise) {
  const std::string bridge = "<interface type='bridge'><source bridge='br0'/></interface>";
  EXPECT_THAT(mapped(bridge, {{"br0", "br1"}}), HasSubstr(R"(<source bridge="br1"/>)"));
  const std::string network = mapped(bridge, {{"br0", "network:default"}});
  EXPECT_THAT(network, HasSubstr(R"(type="network")"));
  EXPECT_THAT(network, HasSubstr(R"(<source network="default"/>)"));
  const std::string back = mapped(k_port_group, {{"lan", "bridge:br1"}});
  EXPECT_THAT(back, HasSubstr(R"(type="bridge")"));
  EXPECT_THAT(back, HasSubstr(R"(<source bridge="br1"/>)"));
}

TEST(NetworkMap, ADeviceBelowMacvtapHasANameToo) {
  EXPECT_THAT(mapped("<interface type='direct'><source dev='eth0' mode='bridge'/></interface>", {{"eth0", "eno1"}}),
              HasSubstr(R"(mode="bridge" dev="eno1")"));
}

TEST(NetworkMap, TwoCanBeExchanged) {
  const std::string both = mapped(
      "<interface type='network'><source network='a'/></interface>"
      "<interface type='network'><source network='b'/></interface>",
      {{"a", "b"}, {"b", "a"}});
  EXPECT_LT(both.find("network=\"b\""), both.find("network=\"a\""));
}

TEST(NetworkMap, WhatARunningDomainSaysOfItsNetworkGoes) {
  const std::string live = "<interface type='network'><source network='a' portid='1' bridge='virbr0'/></interface>";
  EXPECT_THAT(mapped(live, {{"a", "b"}}), HasSubstr(R"(<source network="b"/>)"));
}

TEST(NetworkMap, AnUnknownNameIsAnErrorThatNamesTheKnownOnes) {
  try {
    mapped(k_port_group, {{"lun", "wan"}});
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::usage);
    EXPECT_THAT(error.hint(), HasSubstr("lan, lan/red"));
  }
}

}  // namespace
}  // namespace icecore::hypervisor
