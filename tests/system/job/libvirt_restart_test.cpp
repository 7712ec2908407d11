// SPDX-License-Identifier: Apache-2.0
// libvirt's daemon is killed and comes back while a backup stands at a step: the backup ends well, or fails and
// recover puts the domain back; the guest never notices.
#include <gtest/gtest.h>

#include <algorithm>

#include "rig/private_libvirt.hpp"
#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

constexpr std::uint64_t k_mib = 1024 * 1024;

class LibvirtRestart : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }

  // Before the step at which the backup stood, and so before the second write.
  static bool snapshot_was_taken() { return GetParam() != "backup.fact.planned" && GetParam() != "backup.fact.frozen"; }
};

TEST_P(LibvirtRestart, TheDomainEndsOnItsBase) {
  rig::PrivateLibvirt libvirt;
  rig::DomainOptions options;
  options.uri = libvirt.uri();
  ProtectedDomain subject(options);
  subject.init();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 1 * k_mib, k_mib, 0x11);
  const std::string instant = subject.domain.hash_disk();

  rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name()}),
                         {{"ICECORE_FAILPOINTS", GetParam() + "=pause"}});
  backup.wait_failpoint();
  libvirt.kill();
  libvirt.start();
  subject.domain.reconnect();
  subject.domain.monitor_write("vda", 5 * k_mib, k_mib, 0x22);
  const std::string written = subject.domain.hash_disk();
  backup.go_on();
  const rig::IcecoreOutcome outcome = backup.wait();

  subject.must({"recover"});
  subject.expect_at_rest();
  EXPECT_EQ(subject.domain.hash_disk(), written);
  if (outcome.exit_code == 0) {
    EXPECT_EQ(subject.points().size(), 1U);
  }
  if (!subject.points().empty()) {
    EXPECT_EQ(subject.restored_hash("latest"), snapshot_was_taken() ? instant : written);
  }
  subject.must({"backup", subject.domain.name()});
  EXPECT_EQ(subject.restored_hash("latest"), written);
}

INSTANTIATE_TEST_SUITE_P(EveryState, LibvirtRestart,
                         testing::Values("backup.fact.planned", "backup.fact.frozen", "backup.fact.snapshotted",
                                         "backup.fact.thawed", "backup.intent.reading", "backup.fact.reading",
                                         "backup.fact.sealed", "backup.fact.committing", "backup.intent.committed",
                                         "backup.fact.committed", "backup.fact.uploading", "backup.fact.published"),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

}  // namespace
}  // namespace icecore::system_test
