// SPDX-License-Identifier: Apache-2.0
// What a policy and the options of a backup say is what happens to real domains.
#include <fmt/core.h>
#include <gmock/gmock.h>

#include <fstream>

#include "rig/guest.hpp"
#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;

class BackupAsTold : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }
};

std::filesystem::path write_policy(const ProtectedDomain& subject, const std::string& domains,
                                   const std::string& others) {
  const auto path = subject.domain.folder() / "policy.xml";
  std::ofstream(path) << fmt::format(
      "<policy name='test'><domains>{}</domains>{}<repository url='{}' key-file='{}'/></policy>\n", domains, others,
      subject.repository().string(), subject.key_file().string());
  return path;
}

std::vector<std::string> files_of(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename());
  return names;
}

TEST_F(BackupAsTold, APolicyBacksUpAllThatItMatchesThoughOneFails) {
  ICECORE_NEEDS("guest");
  ProtectedDomain subject;
  subject.init();
  rig::TestDomain mute({.agent_channel = false});
  mute.start();
  rig::TestDomain other;
  const auto policy = write_policy(
      subject, fmt::format("<include name='{0}'/><include name='{1}*'/>", subject.domain.name(), mute.name()),
      "<quiesce rule='required'/>");

  const auto dry = subject.must({"run", policy, "--dry-run", "--json"}).json();
  EXPECT_EQ(dry.at("domains").size(), 2U);
  EXPECT_TRUE(subject.points().empty());

  const auto outcome = subject.run({"run", policy, "--json"});
  EXPECT_EQ(outcome.exit_code, 3) << outcome.error_output;
  const base::Json results = outcome.json().at("results");
  ASSERT_EQ(results.size(), 2U) << "a domain the policy does not name was touched: " << outcome.output;
  for (const base::Json& result : results) EXPECT_EQ(result.at("ok"), result.at("domain") == subject.domain.name());
  EXPECT_THAT(outcome.error_output, HasSubstr(mute.name()));
  EXPECT_EQ(subject.points().size(), 1U);
  subject.expect_at_rest();
  EXPECT_EQ(mute.live_source(), mute.disk_path());
  EXPECT_TRUE(mute.block_jobs().empty());
}

TEST_F(BackupAsTold, APolicyLeavesOutTheDisksItExcludes) {
  rig::DomainOptions options;
  options.disks = {{.target = "vda"}, {.target = "vdb"}};
  ProtectedDomain subject(options);
  subject.init();
  subject.domain.start_paused();
  const auto policy = write_policy(subject, fmt::format("<include name='{}'/>", subject.domain.name()),
                                   "<disks><exclude target='vdb'/></disks><quiesce rule='off'/>");
  subject.must({"run", policy});
  const base::Json point = subject.must({"show", "latest", "--json"}).json();
  ASSERT_EQ(point.at("disks").size(), 1U);
  EXPECT_EQ(point.at("disks")[0].at("target"), "vda");
  EXPECT_EQ(point.at("skipped")[0].at("target"), "vdb");
  subject.expect_at_rest();
}

TEST_F(BackupAsTold, OverlaysLieWhereTheyAreToldToAndAreGoneAfterwards) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  const auto overlays = subject.domain.folder() / "overlays";
  std::filesystem::create_directory(overlays);
  std::filesystem::permissions(overlays, std::filesystem::perms(0755));
  rig::IcecoreRun run(subject.with_options({"backup", subject.domain.name(), "--overlay-dir", overlays}),
                      {{"ICECORE_FAILPOINTS", "backup.fact.reading=pause"}});
  run.wait_failpoint();
  const std::string meanwhile = subject.domain.live_source();
  EXPECT_EQ(std::filesystem::path(meanwhile).parent_path(), overlays);
  subject.domain.monitor_write("vda", 0, 65'536, 0x61);
  const std::string content = subject.domain.hash_disk();
  run.go_on();
  EXPECT_EQ(run.wait().exit_code, 0);
  subject.expect_at_rest();
  EXPECT_THAT(files_of(overlays), testing::IsEmpty());
  EXPECT_EQ(subject.domain.hash_disk(), content) << "what was written meanwhile";
}

TEST_F(BackupAsTold, TheGuestIsThawedAtTheFreezeLimitThoughWeHang) {
  ICECORE_NEEDS("guest");
  ProtectedDomain subject({.disks = {{.image = {.file_system = true}}}});
  subject.init();
  subject.domain.start();
  rig::Guest guest(subject.domain);
  guest.wait_agent();
  rig::IcecoreRun run(
      subject.with_options({"backup", subject.domain.name(), "--quiesce=required", "--freeze-limit=1000"}),
      {{"ICECORE_FAILPOINTS", "backup.fact.frozen=pause"}});
  run.wait_failpoint();
  const base::Stopwatch watch;
  while (guest.freeze_status() != "thawed") ASSERT_LT(watch.elapsed(), std::chrono::seconds(30));
  run.go_on();
  const auto outcome = run.wait();
  EXPECT_EQ(outcome.exit_code, 6) << outcome.error_output;
  EXPECT_TRUE(subject.points().empty()) << "a point that is not what was asked for";
  subject.expect_at_rest();
}

}  // namespace
}  // namespace icecore::system_test
