// SPDX-License-Identifier: Apache-2.0
// A domain is migrated to a host that shares its disks, with overlays of ours or without: it runs there, so what this
// host still has of it is touched by nobody until it is back.
#include <fmt/core.h>
#include <gmock/gmock.h>

#include "base/process.hpp"
#include "rig/guest.hpp"
#include "rig/private_libvirt.hpp"
#include "rig/requirements.hpp"
#include "rig/ssh_server.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t k_mib = 1024 * 1024;
using Words = std::vector<std::string>;

class Migration : public testing::Test {
 protected:
  void SetUp() override {
    ICECORE_NEEDS("root", "libvirt", "icecore", "guest");
    there.emplace();
    subject.emplace();
    subject->init();
    subject->domain.start();  // and booted: QEMU 7.2 does not take a virtio device twice that no driver has touched
    rig::Guest(subject->domain).wait_agent();
  }

  void migrate(const std::string& from, const std::string& to, const Words& more) const {
    Words words = {"virsh", "-q", "-c", from, "migrate", "--live", "--unsafe", subject->domain.name(), to};
    // libvirt's own choice would be the same for two tests at once.
    words.insert(words.end(), {"--migrateuri", fmt::format("tcp://127.0.0.1:{}", rig::free_port())});
    words.insert(words.end(), more.begin(), more.end());
    base::run_checked({.arguments = std::move(words)}, std::chrono::minutes(1));
  }
  // And its guest writes there.
  void leave(const Words& more) {
    migrate(subject->domain.uri(), there->uri(), more);
    rig::DomainOptions options;
    options.disks = {{.existing = subject->domain.disk_path()}};
    options.name = subject->domain.name();
    options.uri = there->uri();
    moved = std::make_unique<rig::TestDomain>(std::move(options));
    moved->monitor_write("vda", 9 * k_mib, k_mib, 0x34);
    newest = moved->hash_disk();
  }
  void come_back(const Words& more) {
    migrate(there->uri(), subject->domain.uri(), more);
    subject->domain.reconnect();
  }
  void die_in_the_window() const {
    const auto died =
        subject->run({"backup", subject->domain.name()}, {{"ICECORE_FAILPOINTS", "backup.fact.reading=kill"}});
    ASSERT_EQ(died.exit_code, 137);
  }
  // The guest is on this image still, over there.
  void expect_untouched(const std::string& image) const {
    EXPECT_EQ(moved->live_source(), image);
    EXPECT_EQ(moved->hash_disk(), newest);
  }
  void expect_merged() const {
    subject->must({"recover"});
    subject->expect_at_rest();
    EXPECT_EQ(subject->domain.hash_disk(), newest);
  }

  std::optional<rig::PrivateLibvirt> there;
  std::optional<ProtectedDomain> subject;
  std::unique_ptr<rig::TestDomain> moved;
  std::string newest;  // what the guest saw last
};

TEST_F(Migration, WithOverlaysThatAreMergedOnceItIsBack) {
  die_in_the_window();
  const std::string overlay = subject->domain.live_source();
  leave({"--persistent"});
  for (const char* command : {"recover", "backup"}) {
    const auto refused = subject->run({command, subject->domain.name()});
    EXPECT_NE(refused.exit_code, 0) << command;
    EXPECT_THAT(refused.output + refused.error_output, HasSubstr("was migrated to another host with its overlays"));
    expect_untouched(overlay);
  }
  come_back({});
  expect_merged();
}

// Then only the lock that QEMU has on the image tells.
TEST_F(Migration, WithOverlaysAndItsDefinition) {
  die_in_the_window();
  const std::string overlay = subject->domain.live_source();
  leave({"--persistent", "--undefinesource"});
  const auto refused = subject->run({"recover"});
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.output + refused.error_output, HasSubstr("a QEMU on this host or another has the image open"));
  expect_untouched(overlay);
  come_back({"--persistent", "--undefinesource"});
  expect_merged();
}

TEST_F(Migration, WhileItIsReadKeepsThePoint) {
  subject->domain.monitor_write("vda", k_mib, k_mib, 0x12);
  const std::string instant = subject->domain.hash_disk();
  rig::IcecoreRun backup(subject->with_options({"backup", subject->domain.name()}),
                         {{"ICECORE_FAILPOINTS", "backup.fact.reading=pause"}});
  backup.wait_failpoint();
  const std::string overlay = subject->domain.live_source();
  leave({"--persistent"});
  backup.go_on();
  const auto outcome = backup.wait();
  EXPECT_EQ(outcome.exit_code, 10) << outcome.error_output;
  EXPECT_THAT(outcome.error_output, HasSubstr("migrate it back"));
  expect_untouched(overlay);
  come_back({});
  expect_merged();
  EXPECT_EQ(subject->points().size(), 1U);
  EXPECT_EQ(subject->restored_hash("latest"), instant);
}

// What is read of a disk that is written to elsewhere is of no instant; and it is not ours to replace.
TEST_F(Migration, LeavesNothingHereToBackUpOrReplace) {
  const std::string& name = subject->domain.name();
  subject->must({"backup", name});
  leave({"--persistent"});
  for (const Words& command : {Words{"explain", name}, {"backup", name}, {"restore", "latest", "--replace"}}) {
    const auto refused = subject->run(command);
    EXPECT_EQ(refused.exit_code, 10) << command.front();
    EXPECT_THAT(refused.output + refused.error_output, HasSubstr("migrated away")) << command.front();
  }
  EXPECT_EQ(subject->domain.inactive_source(), subject->domain.disk_path());
  EXPECT_EQ(subject->points().size(), 1U);
  expect_untouched(subject->domain.disk_path());
  come_back({});
  subject->must({"backup", subject->domain.name()});
  EXPECT_EQ(subject->restored_hash("latest"), newest);
}

}  // namespace
}  // namespace icecore::system_test
