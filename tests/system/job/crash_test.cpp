// SPDX-License-Identifier: Apache-2.0
// kill -9 of icecore before, in and after every step of a backup, with the domain running on or shut off
// afterwards: recover brings the domain to its base with all the guest wrote, and the next backup works.
#include <gmock/gmock.h>
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
  *out << (afterwards == Afterwards::running ? "running" : "shut_off");
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

bool is_after_snapshot(const std::string& failpoint) {
  return failpoint != "backup.fact.planned" && failpoint != "backup.fact.frozen";
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

// A backup that fails is undone by icecore itself; killed while it does that, recover takes over.
class AbortCrash : public testing::TestWithParam<Crash> {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }
};

TEST_P(AbortCrash, RecoverPutsTheDomainBack) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  const auto crashed =
      subject.run({"backup", subject.domain.name()},
                  {{"ICECORE_FAILPOINTS", "backup.acted.reading=error," + GetParam().failpoint + "=kill"}});
  ASSERT_EQ(crashed.exit_code, 137) << crashed.error_output;
  subject.domain.monitor_write("vda", 5 * k_mib, k_mib, 0x22);
  const std::string written = subject.domain.hash_disk();
  if (GetParam().afterwards == Afterwards::shut_off) subject.domain.destroy();
  subject.must({"recover"});
  subject.expect_at_rest();
  EXPECT_EQ(rig::content_hash(subject.domain.disk_path(), "qcow2"), written);
  EXPECT_TRUE(subject.points().empty());
}

std::vector<Crash> crashes_while_aborting() {
  std::vector<Crash> crashes;
  for (const char* when : {"intent", "acted", "fact"}) {
    for (const Afterwards afterwards : {Afterwards::running, Afterwards::shut_off}) {
      crashes.push_back({std::string("backup.") + when + ".aborting", afterwards});
    }
  }
  return crashes;
}

INSTANTIATE_TEST_SUITE_P(EveryStep, AbortCrash, testing::ValuesIn(crashes_while_aborting()), test_name);

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
  const std::string instant = subject.domain.hash_disk();
  rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name()}),
                         {{"ICECORE_FAILPOINTS", GetParam() + "=pause"}});
  backup.wait_failpoint();
  subject.domain.monitor_write("vda", 5 * k_mib, k_mib, 0x22);
  const std::string written = subject.domain.hash_disk();
  subject.domain.kill_qemu();
  backup.go_on();
  const rig::IcecoreOutcome outcome = backup.wait();
  // libvirt or the domain may be said not to answer, to be busy or to have changed; never a crash or "internal".
  EXPECT_THAT(outcome.exit_code, testing::AnyOf(0, 5, 6, 10)) << outcome.error_output;

  subject.must({"recover"});
  subject.expect_at_rest();
  EXPECT_EQ(rig::content_hash(subject.domain.disk_path(), "qcow2"), written);
  const auto points = subject.points();
  if (outcome.exit_code == 0) {
    EXPECT_EQ(points.size(), 1U);
  }
  if (!points.empty()) {
    EXPECT_EQ(subject.restored_hash("latest"), is_after_snapshot(GetParam()) ? instant : written);
  }
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

// Killed when one of two disks is on its base again and the other is not.
class TwoDiskCrash : public testing::TestWithParam<Afterwards> {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }
};

TEST_P(TwoDiskCrash, RecoverFinishesBoth) {
  ProtectedDomain subject({.disks = {{.target = "vda"}, {.target = "vdb", .image = {.format = "raw"}}}});
  subject.init();
  subject.domain.start_paused();
  subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "backup.fact.sealed=kill"}});
  subject.domain.monitor_write("vda", 5 * k_mib, k_mib, 0x22);
  subject.domain.monitor_write("vdb", 7 * k_mib, k_mib, 0x23);
  const std::string first = subject.domain.hash_disk("vda");
  const std::string second = subject.domain.hash_disk("vdb");
  subject.domain.destroy();
  const auto killed = subject.run({"recover"}, {{"ICECORE_FAILPOINTS", "return.merged_offline=kill:2"}});
  ASSERT_EQ(killed.exit_code, 137) << killed.error_output;
  EXPECT_NE(subject.domain.inactive_source("vdb"), subject.domain.disk_path("vdb"));
  if (GetParam() == Afterwards::running) subject.domain.start_paused();
  subject.must({"recover"});
  subject.expect_at_rest();
  EXPECT_EQ(subject.domain.hash_disk("vda"), first);
  EXPECT_EQ(subject.domain.hash_disk("vdb"), second);
  EXPECT_EQ(subject.domain.inactive_source("vdb"), subject.domain.disk_path("vdb"));
  EXPECT_EQ(subject.points().size(), 1U);
}

INSTANTIATE_TEST_SUITE_P(Afterwards, TwoDiskCrash, testing::Values(Afterwards::running, Afterwards::shut_off),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace icecore::system_test
