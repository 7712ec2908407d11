// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/restore_identity.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hypervisor/xml_document.hpp"

namespace icecore::hypervisor {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

struct Second {
  std::string xml;
  std::vector<std::string> notices;
};

Second second_of(const std::string& devices, const std::string& more = {}) {
  const XmlDocument document = XmlDocument::parse(
      "<domain><name>b</name><uuid>u</uuid>" + more + "<devices>" + devices + "</devices></domain>", "a test");
  Second second;
  give_new_identity(document.root(), second.notices);
  second.xml = document.text();
  return second;
}

TEST(RestoreIdentity, FilesOfPortsAndLogsAreItsOwn) {
  const Second second = second_of(
      "<serial type='file'><source path='/var/log/vm.log'/></serial>"
      "<channel type='unix'><source mode='bind' path='/run/vm.sock'/></channel>"
      "<serial type='pty'><log file='/var/log/serial.log'/></serial>");
  for (const char* file : {"/var/log/vm.log.b", "/run/vm.sock.b", "/var/log/serial.log.b"})
    EXPECT_THAT(second.xml, HasSubstr(std::string("\"") + file + "\""));
  EXPECT_THAT(second.notices, IsEmpty());
}

TEST(RestoreIdentity, ScreensAndSoundsAreItsOwn) {
  const Second second = second_of(
      "<graphics type='vnc' socket='/run/vm.vnc'><listen type='socket' socket='/run/vm.vnc'/></graphics>"
      "<audio id='1' type='file' path='/srv/vm.wav'/>");
  EXPECT_THAT(second.xml, Not(HasSubstr("\"/run/vm.vnc\"")));
  EXPECT_THAT(second.xml, HasSubstr("<listen type=\"socket\" socket=\"/run/vm.vnc.b\"/>"));
  EXPECT_THAT(second.xml, HasSubstr("\"/srv/vm.wav.b\""));
}

TEST(RestoreIdentity, PortsTheHostHasOnlyOneOfAreSaid) {
  const Second second = second_of(
      "<serial type='tcp'><source mode='bind' host='127.0.0.1' service='5555'/></serial>"
      "<serial type='udp'><source mode='bind' service='5556'/><source mode='connect' service='5557'/></serial>"
      "<parallel type='dev'><source path='/dev/parport0'/></parallel>"
      "<interface type='vhostuser'><source type='unix' path='/run/ovs' mode='client'/></interface>");
  for (const char* said : {"5555", "5556", "/dev/parport0", "/run/ovs"})
    EXPECT_THAT(second.notices, Contains(HasSubstr(said)));
  EXPECT_THAT(second.notices, Not(Contains(HasSubstr("5557"))));
}

TEST(RestoreIdentity, ASocketItOnlyConnectsToStays) {
  EXPECT_THAT(second_of("<channel type='unix'><source mode='connect' path='/run/x'/></channel>").xml,
              HasSubstr("\"/run/x\""));
}

TEST(RestoreIdentity, HostNamesAndFixedAddressesGo) {
  const Second second = second_of(
      "<interface type='bridge'><mac address='52:54:00:00:00:01'/><target dev='tap-db'/></interface>"
      "<vsock><cid auto='no' address='7'/></vsock>");
  for (const char* gone : {"tap-db", "52:54:00:00:00:01", "address=\"7\""})
    EXPECT_THAT(second.xml, Not(HasSubstr(gone)));
  EXPECT_THAT(second.xml, HasSubstr("auto=\"yes\""));
  EXPECT_THAT(second.notices, Contains(HasSubstr("tap-db")));
}

TEST(RestoreIdentity, PersistentMemoryIsLeftOut) {
  const Second second =
      second_of("<memory model='nvdimm'><source><path>/srv/pmem</path></source></memory><memory model='dimm'/>");
  EXPECT_THAT(second.xml, Not(HasSubstr("nvdimm")));
  EXPECT_THAT(second.xml, HasSubstr("\"dimm\""));
  EXPECT_THAT(second.notices, Contains(HasSubstr("/srv/pmem")));
}

TEST(RestoreIdentity, WhatTheGuestKnowsItsHardwareByStays) {
  const std::string disk = "<disk><serial>s1</serial><wwn>5000c50015ea71aa</wwn></disk>";
  const std::string system =
      "<sysinfo><system><entry name='serial'>s2</entry><entry name='uuid'>u</entry></system></sysinfo>";
  const Second second = second_of(disk, system);
  for (const char* kept : {"s1", "5000c50015ea71aa", "s2"}) EXPECT_THAT(second.xml, HasSubstr(kept));
  EXPECT_THAT(second.xml, Not(HasSubstr(">u<")));
}

TEST(RestoreIdentity, WhatBothUseIsSaid) {
  const Second second = second_of("<graphics type='vnc' port='5901' autoport='no'/><filesystem/><hostdev/>",
                                  "<q:commandline xmlns:q='urn:q'/>");
  for (const char* said : {"5901", "host folders", "host devices", "QEMU arguments"})
    EXPECT_THAT(second.notices, Contains(HasSubstr(said)));
}

}  // namespace
}  // namespace icecore::hypervisor
