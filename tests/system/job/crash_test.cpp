// SPDX-License-Identifier: Apache-2.0
// kill -9 of icecore before, in and after every step of a backup, with the domain running on or shut off
// afterwards: recover brings the domain to its base with all the guest wrote, and the next backup works.
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <set>

#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

constexpr std::uint64_t k_mib = 1024 * 1024;

enum class Afterwards { running, shut_off };

void PrintTo(Afterwards afterwards, std::ostream* out) {
  *out << (afterwards == Afterwards::running ? "running" : "shut off");
}

struct Crash {
  std::string failpoint;
  Afterwards afterwards;
};

void PrintTo(const Crash& crash, std::ostream* out) { *out << crash.failpoint; }

std::vector<Crash> all_crashes() {
  std::vector<std::string> failpoints = {"backup.fact.planned", "return.before_unlink", "backup.fact.done"};
  for (const char* state :
       {"frozen", "snapshotted", "thawed", "reading", "sealed", "committing", "committed", "uploading", "published"}) {
    for (const char* when : {"intent", "acted", "fact"})
      failpoints.push_back(std::string("backup.") + when + "." + state);
  }
  std::vector<Crash> crashes;
  for (const std::string& failpoint : failpoints) {
    crashes.push_back({failpoint, Afterwards::running});
    crashes.push_back({failpoint, Afterwards::shut_off});
  }
  return crashes;
}

std::string test_name(const testing::TestParamInfo<Crash>& info) {
  std::string name = info.param.failpoint + (info.param.afterwards == Afterwards::running ? "_running" : "_shut_off");
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

// From here on the point exists or must come to exist.
bool is_sealed(const std::string& failpoint) {
  static const std::set<std::string> before = {"backup.fact.planned", "backup.intent.sealed", "backup.acted.sealed"};
  for (const char* state : {"frozen", "snapshotted", "thawed", "reading"}) {
    if (failpoint.ends_with(state)) return false;
  }
  return !before.contains(failpoint);
}

class BackupCrash : public testing::TestWithParam<Crash> {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }
};

TEST_P(BackupCrash, RecoverPutsTheDomainBack) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 1 * k_mib, k_mib, 0x11);
  const std::string instant = subject.domain.hash_disk();

  const auto crashed =
      subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", GetParam().failpoint + "=kill"}});
  ASSERT_EQ(crashed.exit_code, 137) << crashed.error_output;
  subject.domain.monitor_write("vda", 5 * k_mib, k_mib, 0x22);
  const std::string written = subject.domain.hash_disk();
  if (GetParam().afterwards == Afterwards::shut_off) subject.domain.destroy();

  subject.must({"recover"});
  subject.expect_at_rest();
  EXPECT_EQ(rig::content_hash(subject.domain.disk_path(), "qcow2"), written) << "the guest lost what it wrote";
  const auto points = subject.points();
  ASSERT_EQ(points.size(), is_sealed(GetParam().failpoint) ? 1U : 0U);
  if (!points.empty()) {
    EXPECT_EQ(subject.restored_hash(points[0]), instant) << "the point is not the instant of the snapshot";
  }

  if (GetParam().afterwards == Afterwards::shut_off) subject.domain.start_paused();
  subject.must({"backup", subject.domain.name()});
  EXPECT_EQ(subject.restored_hash("latest"), written);
  subject.expect_at_rest();
}

INSTANTIATE_TEST_SUITE_P(EveryStep, BackupCrash, testing::ValuesIn(all_crashes()), test_name);

// QEMU dies while icecore is stopped at a step: icecore goes on, and whether it succeeds or not, after recover
// the disk holds what the guest wrote.
class QemuCrash : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }
};

TEST_P(QemuCrash, TheDiskKeepsWhatTheGuestWrote) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 1 * k_mib, k_mib, 0x11);
  rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name()}),
                         {{"ICECORE_FAILPOINTS", GetParam() + "=pause"}});
  backup.wait_failpoint();
  subject.domain.monitor_write("vda", 5 * k_mib, k_mib, 0x22);
  const std::string written = subject.domain.hash_disk();
  subject.domain.kill_qemu();
  backup.go_on();
  backup.wait();

  subject.must({"recover"});
  subject.expect_at_rest();
  EXPECT_EQ(rig::content_hash(subject.domain.disk_path(), "qcow2"), written);
  subject.domain.start_paused();
  subject.must({"backup", subject.domain.name()});
  EXPECT_EQ(subject.restored_hash("latest"), written);
}

INSTANTIATE_TEST_SUITE_P(EveryState, QemuCrash,
                         testing::Values("backup.fact.planned", "backup.fact.frozen", "backup.fact.snapshotted",
                                         "backup.fact.thawed", "backup.intent.reading", "backup.fact.reading",
                                         "backup.fact.sealed", "backup.fact.committing", "backup.intent.committed",
                                         "backup.fact.committed", "backup.fact.uploading", "backup.fact.published"),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

// recover itself is killed, at its own steps, and called again.
class RecoverCrash : public testing::TestWithParam<std::tuple<std::string, Afterwards>> {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }
};

TEST_P(RecoverCrash, CanBeEnteredAgain) {
  const auto& [failpoint, afterwards] = GetParam();
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "backup.fact.sealed=kill"}});
  subject.domain.monitor_write("vda", 5 * k_mib, k_mib, 0x22);
  const std::string written = subject.domain.hash_disk();
  if (afterwards == Afterwards::shut_off) subject.domain.destroy();
  subject.run({"recover"}, {{"ICECORE_FAILPOINTS", failpoint + "=kill"}});
  subject.must({"recover"});
  subject.expect_at_rest();
  EXPECT_EQ(rig::content_hash(subject.domain.disk_path(), "qcow2"), written);
  EXPECT_EQ(subject.points().size(), 1U);
}

INSTANTIATE_TEST_SUITE_P(EveryStep, RecoverCrash,
                         testing::Combine(testing::Values("return.merged_offline", "return.before_unlink",
                                                          "recover.merged", "recover.published"),
                                          testing::Values(Afterwards::running, Afterwards::shut_off)),
                         [](const auto& parameter) {
                           std::string name =
                               std::get<0>(parameter.param) +
                               (std::get<1>(parameter.param) == Afterwards::running ? "_running" : "_shut_off");
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

}  // namespace
}  // namespace icecore::system_test
