// SPDX-License-Identifier: Apache-2.0
// kill -9 of icecore before, in and after every step of a restore: recover leaves nothing of it, or all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/process.hpp"
#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

constexpr std::uint64_t k_mib = 1024 * 1024;

class RestoreCrash : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    ICECORE_NEEDS("root", "libvirt", "icecore");
    subject.emplace();
    subject->init();
    restored = subject->domain.hash_disk();
    subject->must({"backup", subject->domain.name()});
    rig::write_pattern(subject->domain.disk_path(), "qcow2", 3 * k_mib, k_mib, 0x66);
    newest = subject->domain.hash_disk();
  }
  // From here on a restore beside the old domain is finished and not undone.
  static bool is_written() {
    static const std::set<std::string> before = {"restore.fact.planned", "restore.intent.writing",
                                                 "restore.fact.writing", "restore.intent.written",
                                                 "restore.acted.written"};
    return !before.contains(GetParam());
  }
  // One that had not begun to replace is undone: the old domain may be in use again.
  static bool has_begun_to_replace() {
    return is_written() && GetParam() != "restore.fact.written" && GetParam() != "restore.intent.defined";
  }
  void crash(std::vector<std::string> arguments) {
    const auto killed = subject->run(std::move(arguments), {{"ICECORE_FAILPOINTS", GetParam() + "=kill"}});
    ASSERT_EQ(killed.exit_code, 137) << killed.error_output;
    subject->must({"recover"});
  }
  void expect_no_work_files() const {
    for (const auto& file : std::filesystem::directory_iterator(subject->domain.folder())) {
      EXPECT_EQ(file.path().string().find(".icecore-"), std::string::npos) << file.path();
    }
  }

  std::optional<ProtectedDomain> subject;
  std::string restored;  // what the point holds
  std::string newest;    // what the disk held when the restore began
};

TEST_P(RestoreCrash, AsANewDomain) {
  const std::string name = subject->domain.name() + "-copy";
  subject->domain.undo().domain(name);
  crash({"restore", "latest", "--as", name});
  const auto file = subject->domain.folder() / (name + ".vda.qcow2");
  const auto info =
      base::run({.arguments = {"virsh", "-q", "-c", subject->domain.uri(), "dominfo", name}}, std::chrono::seconds(30));
  EXPECT_EQ(info.exit_code == 0, is_written());
  ASSERT_EQ(std::filesystem::exists(file), is_written());
  if (is_written()) {
    EXPECT_EQ(rig::content_hash(file, "qcow2"), restored);
  }
  EXPECT_EQ(subject->domain.hash_disk(), newest);
  expect_no_work_files();
  subject->expect_at_rest();
}

TEST_P(RestoreCrash, InThePlaceOfTheOld) {
  crash({"restore", "latest", "--replace"});
  EXPECT_EQ(subject->domain.hash_disk(), has_begun_to_replace() ? restored : newest);
  expect_no_work_files();
  subject->expect_at_rest();
  subject->domain.start_paused();
}

// The domain is there, and only the journal was not told.
TEST(RestoreThatIsDefined, IsFinishedAndNotUndone) {
  ICECORE_NEEDS("root", "libvirt", "icecore");
  for (const char* place : {"restore.acted.defined", "restore.fact.defined"}) {
    ProtectedDomain subject;
    subject.init();
    const std::string content = subject.domain.hash_disk();
    subject.must({"backup", subject.domain.name()});
    const std::string name = subject.domain.name() + "-copy";
    subject.domain.undo().domain(name);
    const auto failed =
        subject.run({"restore", "latest", "--as", name}, {{"ICECORE_FAILPOINTS", std::string(place) + "=error"}});
    EXPECT_NE(failed.exit_code, 0);
    EXPECT_LT(failed.exit_code, 128) << place;
    EXPECT_THAT(failed.error_output, testing::HasSubstr("icecore recover"));
    const auto file = subject.domain.folder() / (name + ".vda.qcow2");
    EXPECT_EQ(rig::content_hash(file, "qcow2"), content) << place;
    subject.must({"recover"});
    EXPECT_EQ(rig::content_hash(file, "qcow2"), content);
    EXPECT_THAT(subject.must({"recover"}).output, testing::HasSubstr("nothing to recover"));
  }
}

// Half of its files are gone: it must not pass for one that was written.
TEST(RestoreUndo, ThatIsKilledDefinesNoDomain) {
  ICECORE_NEEDS("root", "libvirt", "icecore");
  ProtectedDomain subject;
  subject.init();
  subject.must({"backup", subject.domain.name()});
  const std::string name = subject.domain.name() + "-copy";
  subject.domain.undo().domain(name);
  const auto killed = subject.run({"restore", "latest", "--as", name},
                                  {{"ICECORE_FAILPOINTS", "restore.named=error,restore.acted.aborting=kill"}});
  ASSERT_EQ(killed.exit_code, 137) << killed.error_output;
  subject.must({"recover"});
  EXPECT_FALSE(std::filesystem::exists(subject.domain.folder() / (name + ".vda.qcow2")));
  EXPECT_NE(
      base::run({.arguments = {"virsh", "-q", "-c", subject.domain.uri(), "dominfo", name}}, std::chrono::seconds(30))
          .exit_code,
      0);
  subject.expect_at_rest();
}

INSTANTIATE_TEST_SUITE_P(EveryStep, RestoreCrash,
                         testing::Values("restore.fact.planned", "restore.intent.writing", "restore.fact.writing",
                                         "restore.intent.written", "restore.acted.written", "restore.fact.written",
                                         "restore.intent.defined", "restore.named", "restore.acted.defined",
                                         "restore.fact.defined", "restore.fact.done"),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

}  // namespace
}  // namespace icecore::system_test
