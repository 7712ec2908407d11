// SPDX-License-Identifier: Apache-2.0
// What doctor finds, what it says to do about it, and that it only looks.
#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>

#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;

class Doctor : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }

  // The problems whose subject or text has `word` in it: other tests' domains are on this host too.
  static std::vector<base::Json> problems(const rig::IcecoreOutcome& outcome, const std::string& word) {
    std::vector<base::Json> found;
    const base::Json findings = outcome.json().at("findings");
    for (const base::Json& finding : findings) {
      if (finding.at("severity") == "problem" && finding.dump().find(word) != std::string::npos) {
        found.push_back(finding);
      }
    }
    return found;
  }
  static void expect_problem(const rig::IcecoreOutcome& outcome, const std::string& word, const std::string& text,
                             const std::string& hint) {
    EXPECT_EQ(outcome.exit_code, 1) << outcome.output << outcome.error_output;
    const auto fits = [&](const base::Json& finding) {
      return finding.at("text").get<std::string>().find(text) != std::string::npos &&
             finding.at("hint").get<std::string>().find(hint) != std::string::npos;
    };
    const auto found = problems(outcome, word);
    EXPECT_TRUE(std::any_of(found.begin(), found.end(), fits)) << outcome.output;
  }
};

TEST_F(Doctor, NamesAnInterruptedJobAndTheDomainItLeft) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "backup.fact.reading=kill"}});
  const auto sick = subject.run({"doctor", "--json"});
  expect_problem(sick, "backup ", "was interrupted, since", "icecore recover");
  expect_problem(sick, subject.domain.name(), "is on our overlay", "icecore recover " + subject.domain.name());
  EXPECT_THAT(subject.run({"doctor"}).output, HasSubstr("try: icecore recover"));
  subject.must({"recover"});
  EXPECT_THAT(problems(subject.run({"doctor", "--json"}), subject.domain.name()), testing::IsEmpty());
}

TEST_F(Doctor, ARunningJobIsNoProblem) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name()}),
                         {{"ICECORE_FAILPOINTS", "backup.fact.reading=pause"}});
  backup.wait_failpoint();
  const auto outcome = subject.run({"doctor", "--json"});
  EXPECT_THAT(problems(outcome, subject.domain.name()), testing::IsEmpty());
  EXPECT_THAT(outcome.output, HasSubstr("is at work"));
  backup.go_on();
  EXPECT_EQ(backup.wait().exit_code, 0);
}

TEST_F(Doctor, NamesAnOverlayNoJournalKnows) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "backup.fact.reading=kill"}});
  std::filesystem::remove_all(subject.state_dir());
  expect_problem(subject.run({"doctor", "--json"}), subject.domain.name(), "which this journal does not know",
                 "icecore recover " + subject.domain.name());
}

// As behind a file system that is gone, which is another error than a file's absence.
TEST_F(Doctor, ADiskThatCannotBeLookedAtHidesNothingElse) {
  ProtectedDomain subject;
  const auto disk = subject.domain.disk_path();
  std::filesystem::rename(disk, disk.string() + ".away");
  std::filesystem::create_symlink(disk, disk);
  const base::Json findings = subject.run({"doctor", "--json"}).json().at("findings");
  EXPECT_GT(findings.size(), 3U) << findings.dump();
}

TEST_F(Doctor, NamesBitmapsNothingCountsFrom) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.must({"backup", subject.domain.name()});
  const std::string bitmap = "has the bitmap 'icecore-";
  EXPECT_THAT(subject.run({"doctor"}).output,
              testing::Not(HasSubstr(subject.domain.name() + "': disk 'vda' " + bitmap)));
  subject.must({"forget", "--even-last", subject.points().at(0)});
  const std::string forgotten = subject.run({"doctor"}).output;
  EXPECT_THAT(forgotten, HasSubstr(subject.domain.name() + "': disk 'vda' " + bitmap));
  EXPECT_THAT(forgotten, HasSubstr("has no restore point"));
  EXPECT_THAT(forgotten, HasSubstr("qemu-img bitmap --remove -f qcow2 " + subject.domain.disk_path().string()));
  subject.must({"backup", subject.domain.name()});
  EXPECT_THAT(subject.run({"doctor"}).output,
              testing::Not(HasSubstr(subject.domain.name() + "': disk 'vda' " + bitmap)))
      << "the next backup removed it";
  std::filesystem::remove_all(subject.state_dir());
  const auto stranger = rig::icecore({"doctor", "--state-dir", subject.state_dir()});
  EXPECT_THAT(stranger.output, HasSubstr("of a repository that this state folder has never met"));
}

TEST_F(Doctor, NamesALibvirtThatDoesNotAnswer) {
  const rig::TestFolder folder;
  const auto outcome =
      rig::icecore({"doctor", "--json", "--connect", "qemu+unix:///system?socket=" + (folder.path() / "none").string(),
                    "--state-dir", folder.path() / "state"});
  expect_problem(outcome, "libvirt", "none", "libvirtd");
}

TEST_F(Doctor, NamesARepositoryThatDoesNotOpen) {
  ProtectedDomain subject;
  subject.init();
  const auto other = subject.domain.folder() / "other-key";
  std::ofstream(other) << "icecore-key-v1 " << std::string(64, 'a') << "\n";
  std::filesystem::permissions(other, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  auto arguments = subject.with_options({"doctor", "--json"});
  std::replace(arguments.begin(), arguments.end(), subject.key_file().string(), other.string());
  expect_problem(rig::icecore(arguments), "repository", "key", "");
  std::filesystem::remove_all(subject.repository());
  expect_problem(subject.run({"doctor", "--json"}), "repository", subject.repository(), "");
}

// Only test:///default is free of other tests' domains.
TEST_F(Doctor, OfAHealthyHostEndsWithZeroAndMakesNothing) {
  const rig::TestFolder folder;
  const auto state = folder.path() / "state";
  const auto repository = folder.path() / "repository";
  const auto elsewhere = folder.path() / "state-of-init";  // which remembers the repository there
  ASSERT_EQ(rig::icecore({"init", "-r", repository, "--encryption", "none", "--state-dir", elsewhere}).exit_code, 0);
  const auto outcome = rig::icecore({"doctor", "-r", repository, "--connect", "test:///default", "--state-dir", state});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  EXPECT_THAT(outcome.output, testing::Not(HasSubstr("problem")));
  EXPECT_THAT(outcome.output, HasSubstr("good     libvirt: test:///default answers"));
  EXPECT_FALSE(std::filesystem::exists(state));
}

}  // namespace
}  // namespace icecore::system_test
