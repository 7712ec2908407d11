// SPDX-License-Identifier: Apache-2.0
// Against libvirt's built-in test driver, which needs no daemon: one running domain called "test".
#include "hypervisor/connection.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "hypervisor/domain.hpp"
#include "hypervisor/file_use.hpp"
#include "unit/hypervisor/fixture_xml.hpp"

namespace icecore::hypervisor {
namespace {

using base::Fault;

TEST(Connection, FindsDomainsByNameAndUuid) {
  Connection connection("test:///default");
  const auto all = connection.domains();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].name, "test");
  EXPECT_EQ(all[0].state, DomainState::running);
  EXPECT_EQ(connection.domain("test").uuid(), all[0].uuid);
  EXPECT_EQ(connection.domain(all[0].uuid).name(), "test");
  EXPECT_TRUE(connection.has_domain("test"));
  EXPECT_FALSE(connection.has_domain("tset"));
}

TEST(Connection, AnUnknownDomainIsNotFoundWithAHint) {
  Connection connection("test:///default");
  try {
    connection.domain("tset");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), Fault::not_found);
    EXPECT_STREQ(error.what(), "there is no domain 'tset'");
    EXPECT_NE(error.hint().find("did you mean 'test'?"), std::string::npos) << error.hint();
  }
  try {
    connection.domain("something-else");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.hint(), "all of them: virsh list --all");
  }
}

TEST(Connection, AnUnreachableLibvirtIsUnavailable) {
  try {
    Connection connection("qemu+unix:///system?socket=/nowhere/libvirt-sock");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), Fault::unavailable);
    EXPECT_NE(std::string(error.what()).find("/nowhere/libvirt-sock"), std::string::npos) << error.what();
  }
}

TEST(Connection, DefinesStartsAndForgets) {
  Connection connection("test:///default");
  const std::string xml =
      "<domain type='test'><name>other</name><memory>8192</memory><os><type>hvm</type></os></domain>";
  Domain domain = connection.define(xml);
  EXPECT_EQ(domain.state(), DomainState::shut_off);
  EXPECT_TRUE(domain.persistent());
  EXPECT_FALSE(domain.active());
  domain.start();
  EXPECT_EQ(domain.state(), DomainState::running);
  domain.suspend();
  EXPECT_EQ(domain.state(), DomainState::paused);
  EXPECT_EQ(domain.model().name, "other");
  domain.destroy();
  domain.undefine();
  EXPECT_EQ(domain.state(), DomainState::gone);
  EXPECT_FALSE(domain.active());
}

TEST(Connection, SaysWhyADomainCannotBeDefined) {
  Connection connection("test:///default");
  try {
    connection.define("<domain type='test'><name>a/b</name><memory>8192</memory><os><type>hvm</type></os></domain>");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_NE(std::string(error.what()).find("a/b cannot contain"), std::string::npos) << error.what();
  }
}

TEST(Connection, WaitsForEventsButNotForEver) {
  Connection connection("test:///default");
  connection.wait_for_event(base::Milliseconds(1), {});
  const base::Stopwatch watch;
  connection.domain("test").suspend();
  connection.wait_for_event(std::chrono::seconds(60), {});
  EXPECT_LT(watch.elapsed(), std::chrono::seconds(30));
  std::stop_source stop;
  stop.request_stop();
  connection.wait_for_event(std::chrono::seconds(60), stop.get_token());
  EXPECT_LT(watch.elapsed(), std::chrono::seconds(30));
}

TEST(FileUse, FindsEveryRoleOfAFile) {
  Connection connection("test:///default");
  std::string xml =
      "<domain type='test'><name>user</name><memory>8192</memory><os><type>hvm</type><kernel>/boot/k</kernel></os>"
      "<devices><disk type='file'><driver name='qemu' type='qcow2'/><source file='/srv/a.qcow2'/>"
      "<target dev='vda'/></disk></devices></domain>";
  connection.define(xml);
  const auto chain = [](const std::string& path, const std::string& format) {
    // The driver's own domain has a disk too.
    if (path != "/srv/a.qcow2") return std::vector<std::string>{};
    EXPECT_EQ(format, "qcow2");
    return std::vector<std::string>{"/srv/below.qcow2"};
  };
  const auto disk = users_of(connection, "/srv/x/../a.qcow2");
  ASSERT_EQ(disk.size(), 1U);
  EXPECT_EQ(disk[0].domain, "user");
  EXPECT_EQ(disk[0].role, "disk vda");
  EXPECT_FALSE(disk[0].running);
  EXPECT_EQ(users_of(connection, "/srv/below.qcow2", chain).at(0).role, "an image below disk vda");
  EXPECT_EQ(users_of(connection, "/boot/k").at(0).role, "kernel");
  EXPECT_TRUE(users_of(connection, "/srv/below.qcow2").empty());
}

}  // namespace
}  // namespace icecore::hypervisor
