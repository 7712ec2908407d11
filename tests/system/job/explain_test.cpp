// SPDX-License-Identifier: Apache-2.0
// `icecore explain` says what a backup then does, and leaves no trace.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/process.hpp"
#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;
constexpr std::uint64_t k_mib = 1024 * 1024;

class Explain : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }

  static std::set<std::string> files_of(const ProtectedDomain& subject) {
    std::set<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(subject.domain.folder()))
      files.insert(entry.path());
    return files;
  }

  // The record, and the exit code a backup would have.
  static base::Json explain(const ProtectedDomain& subject, int exit_code, std::vector<std::string> options = {}) {
    const auto files = files_of(subject);
    const std::string defined = subject.definition();
    options.insert(options.begin(), {"explain", subject.domain.name(), "--json"});
    const auto outcome = subject.run(options);
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.error_output << outcome.output;
    EXPECT_EQ(files_of(subject), files) << "it made or removed a file";
    EXPECT_EQ(subject.definition(), defined);
    return outcome.json();
  }
};

TEST_F(Explain, AChainIsShownWithWhoseItIs) {
  rig::TestFolder templates;
  const auto golden = templates.path() / "golden.qcow2";
  rig::make_image(golden, {});
  const rig::DiskOptions over_golden{.image = {.backing = golden}, .kind = rig::DiskKind::volume};
  rig::TestDomain other({.disks = {{.image = {.backing = golden}}}});
  ProtectedDomain subject({.disks = {over_golden}});
  subject.domain.start_paused();

  const base::Json record = explain(subject, 0);
  EXPECT_TRUE(record.at("would_work"));
  EXPECT_EQ(record.at("mode"), "disk-only");
  EXPECT_EQ(record.at("consistency"), "crash");
  EXPECT_THAT(record.at("consistency_reason").get<std::string>(), HasSubstr("paused"));
  const base::Json disk = record.at("disks").at(0);
  EXPECT_EQ(disk.at("verdict"), "include");
  EXPECT_THAT(disk.at("source").get<std::string>(), HasSubstr("volume 'vda.qcow2' of pool"));
  ASSERT_EQ(disk.at("chain").size(), 2U);
  EXPECT_EQ(disk.at("chain")[0].at("path"), subject.domain.disk_path().string());
  EXPECT_EQ(disk.at("chain")[0].at("written"), true);
  EXPECT_EQ(disk.at("chain")[1].at("path"), golden.string());
  EXPECT_EQ(disk.at("chain")[1].at("written"), false);
  EXPECT_THAT(disk.at("chain")[1].at("also_used_by"), testing::Contains(other.name()));
  EXPECT_EQ(disk.at("change_map"), "bitmap");
  EXPECT_GT(disk.at("overlay").at("usable_bytes").get<std::uint64_t>(), 0U);
  EXPECT_GE(disk.at("overlay").at("needed_bytes_max").get<std::uint64_t>(), 64 * k_mib);
}

TEST_F(Explain, EveryRefusalIsToldAndTheExitCodeIsTheBackups) {
  ProtectedDomain subject({.disks = {{.target = "vda"},
                                     {.target = "vdb", .image = {.format = "raw"}, .kind = rig::DiskKind::block},
                                     {.target = "vdc", .image = {.format = "raw"}, .extra_xml = "<shareable/>"},
                                     {.target = "vdd", .extra_xml = "<readonly/>"}}});
  subject.init();
  const base::Json record = explain(subject, 2);
  EXPECT_FALSE(record.at("would_work"));
  ASSERT_EQ(record.at("refusals").size(), 2U) << record.dump();
  EXPECT_THAT(record.at("refusals")[0].at("hint").get<std::string>(), HasSubstr("--device-overlay-dir"));
  EXPECT_THAT(record.at("refusals")[1].at("message").get<std::string>(), HasSubstr("shared with other domains"));
  EXPECT_EQ(record.at("disks").at(0).at("verdict"), "include");
  EXPECT_EQ(record.at("disks").at(3).at("verdict"), "skip");
  EXPECT_EQ(subject.run({"backup", subject.domain.name()}).exit_code, 2);

  const base::Json without = explain(subject, 10, {"--overlay-dir", subject.domain.folder()});
  ASSERT_EQ(without.at("refusals").size(), 1U);
  explain(subject, 0, {"--overlay-dir", subject.domain.folder(), "--exclude-disk", "vdc"});
}

TEST_F(Explain, AFreezeThatMustBeAndCannotIsARefusal) {
  ProtectedDomain subject({.agent_channel = false});
  subject.domain.start_paused();
  const base::Json record = explain(subject, 6, {"--quiesce", "required"});
  EXPECT_THAT(record.dump(), HasSubstr("could not be frozen"));
}

TEST_F(Explain, InternalSnapshotsAreNamedHereAndByTheBackup) {
  ProtectedDomain subject;
  subject.init();
  base::run_checked(
      {.arguments = {"qemu-img", "snapshot", "-c", "before-upgrade", subject.domain.disk_path().native()}},
      std::chrono::seconds(30));
  EXPECT_THAT(explain(subject, 0).at("disks").at(0).at("notes").dump(), HasSubstr("before-upgrade"));
  const auto outcome = subject.must({"backup", subject.domain.name(), "--json"});
  EXPECT_THAT(outcome.json().at("results").at(0).at("notes").dump(), HasSubstr("before-upgrade"));
  subject.expect_at_rest();
}

TEST_F(Explain, ARepositoryTellsWhatADiskWouldBeCountedFrom) {
  ProtectedDomain subject;
  EXPECT_THAT(explain(subject, 0).at("repository_note").get<std::string>(), HasSubstr("cannot be asked"));
  subject.init();
  const base::Json first = explain(subject, 0);
  EXPECT_EQ(first.at("repository"), subject.repository().string());
  EXPECT_EQ(first.at("disks").at(0).at("change_map"), "scan");
  EXPECT_EQ(first.at("disks").at(0).at("change_map_reason"), "first point of this disk");
  EXPECT_TRUE(first.at("disks").at(0).at("parent").is_null());

  const auto locks = subject.repository() / "locks";
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 0, 4 * k_mib, 0x11);
  subject.must({"backup", subject.domain.name()});
  subject.domain.monitor_write("vda", 8 * k_mib, 2 * k_mib, 0x22);
  const base::Json live = explain(subject, 0).at("disks").at(0);
  EXPECT_EQ(live.at("change_map"), "bitmap");
  EXPECT_EQ(live.at("parent"), subject.points().at(0));
  EXPECT_THAT(live.at("change_map_reason").get<std::string>(), HasSubstr("QEMU"));
  EXPECT_TRUE(live.at("read_bytes").is_null()) << "only QEMU knows";
  EXPECT_GE(live.at("read_bytes_max").get<std::uint64_t>(), 4 * k_mib);

  EXPECT_TRUE(!std::filesystem::exists(locks) || std::filesystem::is_empty(locks));
}

TEST_F(Explain, ABitmapThatIsClosedIsCounted) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 0, 4 * k_mib, 0x11);
  subject.must({"backup", subject.domain.name()});
  subject.domain.monitor_write("vda", 8 * k_mib, 2 * k_mib, 0x22);
  subject.domain.destroy();  // libvirt lets QEMU close its images
  const base::Json disk = explain(subject, 0).at("disks").at(0);
  EXPECT_EQ(disk.at("change_map"), "bitmap") << disk.dump();
  EXPECT_EQ(disk.at("parent"), subject.points().at(0));
  EXPECT_EQ(disk.at("read_bytes").get<std::uint64_t>(), 2 * k_mib);
  subject.must({"backup", subject.domain.name()});
  const base::Json done = subject.must({"show", "latest", "--json"}).json().at("disks").at(0);
  EXPECT_EQ(done.at("change_map"), "bitmap") << "as it was told";
}

TEST_F(Explain, WithoutAKeyTheRestIsTold) {
  ProtectedDomain subject;
  subject.init();
  const auto outcome =
      rig::icecore({"explain", subject.domain.name(), "-r", subject.repository(), "--state-dir", subject.state_dir()});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  EXPECT_THAT(outcome.output, HasSubstr("cannot be asked"));
  EXPECT_THAT(outcome.output, HasSubstr("A backup would begin."));
}

TEST_F(Explain, PeopleReadItToo) {
  ProtectedDomain subject;
  const auto outcome = subject.must({"explain", subject.domain.name()});
  for (const char* part : {"shut off", "offline", "disk vda (virtio)", "written to", "A backup would begin."})
    EXPECT_THAT(outcome.output, HasSubstr(part));
}

}  // namespace
}  // namespace icecore::system_test
