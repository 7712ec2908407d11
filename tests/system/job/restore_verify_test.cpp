// SPDX-License-Identifier: Apache-2.0
// --verify finds what a disk did not keep, and a host that cannot run the domain is found before anything is written.
#include <gmock/gmock.h>

#include "rig/requirements.hpp"
#include "system/job/expect_error.hpp"
#include "system/job/loop_device.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t k_mib = 1024 * 1024;

class RestoreVerify : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }

  static void back_up(ProtectedDomain& subject) {
    subject.init();
    rig::write_pattern(subject.domain.disk_path(), subject.domain.disk_format(), k_mib, 2 * k_mib, 0x44);
    subject.must({"backup", subject.domain.name()});
  }
  static std::filesystem::path work_file(const std::filesystem::path& folder) {
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
      if (file.path().string().find(".icecore-") != std::string::npos) return file.path();
    }
    return {};
  }
  // Restores with --verify while something writes to the new disk behind our back.
  static rig::IcecoreOutcome with_a_bad_disk(ProtectedDomain& subject, std::uint64_t offset, unsigned char pattern) {
    const auto folder = subject.domain.folder() / "out";
    rig::IcecoreRun run(subject.with_options({"restore", "latest", "--disks-only", "--to", folder, "--verify"}),
                        {{"ICECORE_FAILPOINTS", "restore.disks_written=pause"}});
    run.wait_failpoint();
    rig::write_pattern(work_file(folder), subject.domain.disk_format(), offset, 4096, pattern);
    run.go_on();
    auto outcome = run.wait();
    EXPECT_TRUE(std::filesystem::is_empty(folder));
    return outcome;
  }
};

TEST_F(RestoreVerify, WhatIsTheSameIsSaidToBe) {
  // Odd sizes: the last block is short.
  ProtectedDomain subject({.disks = {{.target = "vda", .image = {.size = 10 * k_mib + 4096}},
                                     {.target = "vdb", .image = {.format = "raw", .size = 3 * k_mib + 512}}}});
  back_up(subject);
  rig::write_pattern(subject.domain.disk_path(), "qcow2", 10 * k_mib, 4096, 0x46);
  rig::write_pattern(subject.domain.disk_path("vdb"), "raw", 3 * k_mib, 512, 0x47);
  subject.must({"backup", subject.domain.name()});
  const auto folder = subject.domain.folder() / "out";
  const auto record = subject.must({"restore", "latest", "--disks-only", "--to", folder, "--verify", "--json"}).json();
  for (const auto& disk : record.at("disks")) EXPECT_EQ(disk.at("verified"), true);
  const LoopDevice device(subject.domain.folder(), 16 * k_mib);
  subject.must({"restore", "latest", "--disks-only", "--disk", "vda", "--verify", "--overwrite-device", "--disk-path",
                "vda=" + device.path()});
}

TEST_F(RestoreVerify, AChangedByteIsFound) {
  ProtectedDomain subject;
  back_up(subject);
  expect_error(with_a_bad_disk(subject, 2 * k_mib + 4096, 0x45), 8, std::to_string(2 * k_mib));
  subject.expect_at_rest();
}

TEST_F(RestoreVerify, ALostWriteIsFound) {
  ProtectedDomain subject({.disks = {{.target = "vda", .image = {.format = "raw"}}}});
  back_up(subject);
  expect_error(with_a_bad_disk(subject, 3 * k_mib - 4096, 0), 8, std::to_string(3 * k_mib - 65536));
}

TEST_F(RestoreVerify, AWriteWhereNothingBelongsIsFound) {
  ProtectedDomain subject;
  back_up(subject);
  expect_error(with_a_bad_disk(subject, 60 * k_mib, 1), 8, std::to_string(60 * k_mib));
}

TEST_F(RestoreVerify, AHostWithoutTheNetworkIsFoundBeforeAnythingIsWritten) {
  rig::DomainOptions options;
  options.devices_xml =
      "<interface type='network'><source network='icecore-nowhere'/></interface>"
      "<interface type='bridge'><source bridge='icecore-nobr'/></interface>";
  ProtectedDomain subject(options);
  subject.init();
  subject.must({"backup", subject.domain.name()});
  const std::string copy = subject.domain.name() + "-copy";
  subject.domain.undo().domain(copy);
  const auto folder = subject.domain.folder() / "out";
  std::vector<std::string> command = {"restore", "latest", "--as", copy, "--to", folder};
  const auto refused = subject.run(command);
  expect_error(refused, 10, "icecore-nowhere");
  EXPECT_THAT(refused.error_output, HasSubstr("icecore-nobr"));
  EXPECT_THAT(refused.error_output, HasSubstr("--map-network icecore-nowhere="));
  EXPECT_FALSE(std::filesystem::exists(folder));
  auto dry = command;
  dry.push_back("--dry-run");
  const auto shown = subject.run(dry);
  EXPECT_EQ(shown.exit_code, 10);
  EXPECT_THAT(shown.output, HasSubstr("would write vda"));
  EXPECT_THAT(shown.error_output, HasSubstr("icecore-nobr"));
  auto mapped = command;
  mapped.insert(mapped.end(), {"--map-network", "icecore-nowhere=bridge:lo", "--map-network", "icecore-nobr=lo"});
  subject.must(mapped);
  command[3] += "-2";
  subject.domain.undo().domain(command[3]);
  command.push_back("--allow-incompatible");
  subject.must(command);
}

}  // namespace
}  // namespace icecore::system_test
