// SPDX-License-Identifier: Apache-2.0
// A libvirtd of one's own can die and come back under a running domain, unseen by the system's.
#include "rig/private_libvirt.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "rig/requirements.hpp"
#include "rig/test_domain.hpp"

namespace icecore::rig {
namespace {

using base::Milliseconds;

class RigPrivateLibvirt : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("libvirt", "qemu", "guest"); }
};

TEST_F(RigPrivateLibvirt, DomainOutlivesKillAndRestart) {
  PrivateLibvirt libvirt;
  DomainOptions options;
  options.uri = libvirt.uri();
  TestDomain domain(options);
  domain.start_paused();
  const pid_t qemu = domain.qemu_pid();
  libvirt.kill();
  EXPECT_THROW(domain.live_xml(), base::Error);
  libvirt.start();
  domain.reconnect();
  EXPECT_TRUE(domain.is_running());
  libvirt.restart();
  domain.reconnect();
  EXPECT_TRUE(domain.is_running());
  EXPECT_EQ(domain.qemu_pid(), qemu);
}

TEST_F(RigPrivateLibvirt, DomainsOfOneAreUnknownToTheOther) {
  PrivateLibvirt libvirt;
  DomainOptions options;
  options.uri = libvirt.uri();
  const TestDomain domain(options);
  for (const auto& [uri, known] : {std::pair{libvirt.uri(), true}, {std::string("qemu:///system"), false}}) {
    base::Command command;
    command.arguments = {"virsh", "-q", "-c", uri, "domuuid", domain.name()};
    EXPECT_EQ(base::run(command, Milliseconds(30'000)).exit_code == 0, known) << uri;
  }
}

TEST_F(RigPrivateLibvirt, NothingIsLeftWhenItIsDeadAtTheEnd) {
  pid_t qemu = -1;
  {
    PrivateLibvirt libvirt;
    DomainOptions options;
    options.uri = libvirt.uri();
    TestDomain domain(options);
    domain.start_paused();
    qemu = domain.qemu_pid();
    ASSERT_GT(qemu, 0);
    libvirt.kill();
  }
  EXPECT_FALSE(std::filesystem::exists("/proc/" + std::to_string(qemu)));
}

}  // namespace
}  // namespace icecore::rig
