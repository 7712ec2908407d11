// SPDX-License-Identifier: Apache-2.0
// What a restore that was cut short had written is older than what the domain has become since: another restore, or the
// guest's own work on its disks, is never undone by recover.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/process.hpp"
#include "rig/requirements.hpp"
#include "rig/xml_query.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t k_mib = 1024 * 1024;
const std::string k_generation = "11111111-2222-4333-8444-555555555555";
const std::vector<std::string> k_disks = {"vda", "vdb"};

void tool(std::vector<std::string> arguments) {
  base::run_checked({.arguments = std::move(arguments)}, std::chrono::minutes(1));
}

// Two disks, two points of them.
class RestoreAgain : public testing::Test {
 protected:
  void SetUp() override {
    ICECORE_NEEDS("root", "libvirt", "icecore");
    rig::DomainOptions options;
    options.disks = {{.target = "vda"}, {.target = "vdb"}};
    options.domain_xml = "<genid>" + k_generation + "</genid>";
    subject.emplace(options);
    subject->init();
    subject->domain.start_paused();
    write(0x11);
    first = hashes();
    back_up();
    write(0x22);
    second = hashes();
    back_up();
    subject->domain.destroy();
  }

  void write(unsigned char pattern) {
    for (const std::string& disk : k_disks) subject->domain.monitor_write(disk, 2 * k_mib, k_mib, pattern);
  }
  std::vector<std::string> hashes() const {
    std::vector<std::string> all;
    for (const std::string& disk : k_disks) all.push_back(rig::content_hash(subject->domain.disk_path(disk), "qcow2"));
    return all;
  }
  void back_up() const { subject->must({"backup", subject->domain.name()}); }
  // Of the older point, killed with one disk replaced and the other not.
  void restore_and_die(const std::string& where = "restore.named") const {
    const auto died =
        subject->run({"restore", subject->points().front(), "--replace"}, {{"ICECORE_FAILPOINTS", where + "=kill"}});
    ASSERT_EQ(died.exit_code, 137);
  }
  std::vector<std::string> left_over() const {
    std::vector<std::string> names;
    for (const auto& file : std::filesystem::directory_iterator(subject->domain.folder())) {
      if (file.path().string().find(".icecore-") != std::string::npos) names.push_back(file.path().filename());
    }
    return names;
  }
  void expect_nothing_to_recover() const {
    EXPECT_THAT(subject->must({"recover"}).output, HasSubstr("nothing to recover"));
    EXPECT_TRUE(left_over().empty());
  }

  std::optional<ProtectedDomain> subject;
  std::vector<std::string> first;
  std::vector<std::string> second;
};

TEST_F(RestoreAgain, TheSecondOneEndsTheFirst) {
  restore_and_die();
  subject->must({"restore", "latest", "--replace"});
  EXPECT_EQ(hashes(), second);
  expect_nothing_to_recover();
  EXPECT_EQ(hashes(), second);
}

TEST_F(RestoreAgain, IsFinishedByRecoverWhileNobodyUsedIt) {
  restore_and_die();
  subject->must({"recover"});
  EXPECT_EQ(hashes(), first);
  expect_nothing_to_recover();
}

TEST_F(RestoreAgain, WhatTheGuestWroteSinceStays) {
  restore_and_die();
  subject->domain.start_paused();
  write(0x33);
  subject->domain.destroy();
  const auto now = hashes();
  EXPECT_THAT(subject->must({"recover"}).output, HasSubstr("was used or removed since"));
  EXPECT_EQ(hashes(), now);
  expect_nothing_to_recover();
}

TEST_F(RestoreAgain, AFileRemovedByHandIsNotTakenForNamed) {
  restore_and_die("restore.fact.written");
  for (const std::string& name : left_over()) std::filesystem::remove(subject->domain.folder() / name);
  const std::string before = subject->definition();
  subject->must({"recover"});
  EXPECT_EQ(hashes(), second);
  EXPECT_EQ(subject->definition(), before);
  expect_nothing_to_recover();
}

TEST_F(RestoreAgain, IsClosedByAPerson) {
  restore_and_die();
  const auto now = hashes();
  EXPECT_THAT(subject->must({"recover", subject->domain.name(), "--close"}).output, HasSubstr("as was asked for"));
  EXPECT_EQ(hashes(), now);
  expect_nothing_to_recover();
}

// An earlier backup whose overlay cannot be merged: the disks below it are not restored over.
TEST_F(RestoreAgain, WaitsUntilAnEarlierBackupIsInOrder) {
  subject->domain.start_paused();
  const auto died =
      subject->run({"backup", subject->domain.name()}, {{"ICECORE_FAILPOINTS", "backup.fact.reading=kill"}});
  ASSERT_EQ(died.exit_code, 137);
  write(0x44);
  const std::string newest = subject->domain.hash_disk("vdb");
  subject->domain.destroy();
  const auto failed =
      subject->run({"restore", "latest", "--replace"}, {{"ICECORE_FAILPOINTS", "return.redefining=error"}});
  EXPECT_EQ(failed.exit_code, 10);
  EXPECT_THAT(failed.error_output, HasSubstr("left its disks out of order"));
  subject->must({"recover"});
  EXPECT_EQ(rig::content_hash(subject->domain.disk_path("vdb"), "qcow2"), newest);
  subject->must({"restore", "latest", "--replace"});
  EXPECT_EQ(hashes(), second);
}

// Their owner and mode are those of the files that gave way; and the difference is from what gives way.
TEST_F(RestoreAgain, FilesThatTakeAnothersPlaceAreWhoseThatWas) {
  const auto path = subject->domain.disk_path("vda");
  std::filesystem::permissions(path, std::filesystem::perms(0640));
  ASSERT_EQ(::chown(path.c_str(), 12, 34), 0);
  subject->must({"restore", "latest", "--replace"});
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0640U);
  EXPECT_EQ(status.st_uid, 12U);
  EXPECT_EQ(status.st_gid, 34U);
}

// A domain controller must know.
TEST_F(RestoreAgain, AGuestLearnsThatItWentBackInTime) {
  subject->must({"restore", "latest", "--replace"});
  const std::string now = rig::xml_value(subject->domain.inactive_xml(), "/domain/genid");
  EXPECT_EQ(now.size(), k_generation.size());
  EXPECT_NE(now, k_generation);
}

TEST_F(RestoreAgain, ADryRunShowsWhatBecomesOfThePresentDefinition) {
  tool({"virsh", "-q", "setmaxmem", subject->domain.name(), "192M", "--config"});
  EXPECT_THAT(subject->must({"restore", "latest", "--replace", "--disk", "vdb", "--dry-run"}).output,
              testing::AllOf(HasSubstr("-  <memory unit=\"KiB\">196608</memory>"),
                             HasSubstr("+  <memory unit=\"KiB\">131072</memory>")));
}

// No domain of libvirt's: a QEMU of somebody's, or of another host.
TEST_F(RestoreAgain, AndABackupLeaveAloneWhatAQemuHasOpen) {
  const std::string& name = subject->domain.name();
  const std::string image = subject->domain.disk_path("vdb");
  base::Child stranger({.arguments = {"qemu-io", "-f", "qcow2", image}}, base::Wiring::dialog);
  stranger.send_line("length");
  ASSERT_TRUE(stranger.read_line(std::chrono::seconds(30)));
  for (const std::vector<std::string>& command : {std::vector<std::string>{"restore", "latest", "--replace"},
                                                  {"restore", "latest", "--replace", "--dry-run"},
                                                  {"backup", name},
                                                  {"explain", name}}) {
    const auto refused = subject->run(command);
    EXPECT_EQ(refused.exit_code, 5) << command.front();
    EXPECT_THAT(refused.output + refused.error_output, HasSubstr("'" + image + "'")) << command.front();
  }
  EXPECT_EQ(subject->points().size(), 2U);
  stranger.end_input();
  ASSERT_TRUE(stranger.wait(std::chrono::seconds(30)));
  subject->must({"backup", name});
  subject->must({"restore", "latest", "--replace"});
  EXPECT_EQ(hashes(), second);
}

TEST_F(RestoreAgain, ADeviceIsNotWrittenOverUnderASavedMemory) {
  rig::DomainOptions options;
  options.disks = {{.kind = rig::DiskKind::block}};
  ProtectedDomain other(options);
  other.environment["ICECORE_DEVICE_OVERLAY_DIR"] = other.domain.folder();
  other.init();
  other.domain.start_paused();
  other.must({"backup", other.domain.name()});
  ASSERT_EQ(::virDomainManagedSave(other.domain.handle(), 0), 0);
  const std::string before = rig::content_hash(other.domain.disk_path(), "qcow2");
  const auto refused = other.run({"restore", "latest", "--disks-only", "--overwrite-device", "--disk-path",
                                  "vda=" + other.domain.disk_path().string()});
  EXPECT_EQ(refused.exit_code, 10);
  EXPECT_THAT(refused.error_output, HasSubstr("saved memory"));
  EXPECT_EQ(rig::content_hash(other.domain.disk_path(), "qcow2"), before);
}

}  // namespace
}  // namespace icecore::system_test
