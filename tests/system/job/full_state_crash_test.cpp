// SPDX-License-Identifier: Apache-2.0
// kill -9 of icecore while a guest's memory is saved, stored or restored: recover leaves no memory file, no overlay,
// and the guest with all it wrote.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "rig/guest.hpp"
#include "rig/requirements.hpp"
#include "system/job/max_downtime.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

constexpr std::uint64_t k_mib = 1024 * 1024;

void expect_no_memory_file(const ProtectedDomain& subject) {
  for (const auto& file : std::filesystem::directory_iterator(subject.domain.folder()))
    EXPECT_NE(file.path().extension(), ".save") << file.path();
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

class FullStateBackupCrash : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }
};

TEST_P(FullStateBackupCrash, RecoverRemovesTheMemory) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start();
  const auto crashed = subject.run({"backup", subject.domain.name(), "--full-state", "--live"},
                                   {{"ICECORE_FAILPOINTS", GetParam() + "=kill"}});
  ASSERT_EQ(crashed.exit_code, 137) << crashed.error_output;
  subject.domain.monitor_write("vda", 5 * k_mib, k_mib, 0x22);
  const std::string written = subject.domain.hash_disk();
  subject.must({"recover"});
  subject.expect_at_rest();
  expect_no_memory_file(subject);
  EXPECT_EQ(rig::content_hash(subject.domain.disk_path(), "qcow2"), written);
  EXPECT_EQ(subject.points().size(), GetParam() == "backup.fact.sealed" ? 1U : 0U);
  subject.must({"backup", subject.domain.name(), "--full-state"});
  expect_no_memory_file(subject);
}

INSTANTIATE_TEST_SUITE_P(EveryStep, FullStateBackupCrash,
                         testing::Values("backup.fact.planned", "backup.intent.snapshotted", "backup.acted.snapshotted",
                                         "backup.fact.thawed", "backup.intent.reading", "backup.memory_stored",
                                         "backup.fact.reading", "backup.fact.sealed"),
                         test_name);

// libvirt goes on saving when nobody waits for it any more.
class FullStateCrash : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore", "guest"); }
};

TEST_F(FullStateCrash, WhileLibvirtSavesTheMemory) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start();
  rig::Guest guest(subject.domain);
  guest.wait_agent();
  const auto crash = [&](const char* how) {
    const auto crashed = subject.run({"backup", subject.domain.name(), "--full-state", how},
                                     {{"ICECORE_FAILPOINTS", "backup.memory_progress=kill"}});
    ASSERT_EQ(crashed.exit_code, 137) << crashed.error_output;
  };
  const unsigned long long own_downtime = max_downtime_of(subject.domain);
  const auto expect_as_before = [&] {
    EXPECT_EQ(max_downtime_of(subject.domain), own_downtime);
    subject.expect_at_rest();
    expect_no_memory_file(subject);
    EXPECT_EQ(guest.shell("echo alive"), "alive\n");
  };
  for (const std::string how : {"--live", "--pause"}) {
    crash(how.c_str());
    EXPECT_EQ(max_downtime_of(subject.domain) < own_downtime, how == "--live");
    subject.must({"recover"});
    expect_as_before();
  }

  // A person's word comes after libvirt's: the domain is not put on overlays that no journal knows any more.
  crash("--live");
  const auto closed = subject.run({"recover", subject.domain.name(), "--close"});
  if (closed.exit_code != 0) {
    EXPECT_THAT(closed.error_output, testing::HasSubstr("; try: icecore recover " + subject.domain.name()));
    subject.must({"recover"});
  }
  expect_as_before();
}

class FullStateRestoreCrash : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }
};

TEST_P(FullStateRestoreCrash, RecoverRemovesTheMemory) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start();
  subject.must({"backup", subject.domain.name(), "--full-state"});
  subject.domain.destroy();
  const std::string content = subject.domain.hash_disk();
  const auto crashed = subject.run({"restore", "latest", "--replace"}, {{"ICECORE_FAILPOINTS", GetParam() + "=kill"}});
  ASSERT_EQ(crashed.exit_code, 137) << crashed.error_output;
  subject.must({"recover"});
  subject.expect_at_rest();
  expect_no_memory_file(subject);
  EXPECT_EQ(subject.domain.is_running(), GetParam() == "restore.resumed");
  if (!subject.domain.is_running()) {
    EXPECT_EQ(subject.domain.hash_disk(), content);
  }
}

INSTANTIATE_TEST_SUITE_P(EveryStep, FullStateRestoreCrash,
                         testing::Values("restore.acted.written", "restore.fact.written", "restore.acted.defined",
                                         "restore.fact.defined", "restore.resumed"),
                         test_name);

}  // namespace
}  // namespace icecore::system_test
