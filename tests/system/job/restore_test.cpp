// SPDX-License-Identifier: Apache-2.0
// The options of a restore, and what it refuses, leaves alone and leaves behind.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>

#include <fstream>

#include "base/process.hpp"
#include "rig/requirements.hpp"
#include "system/job/expect_error.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t k_mib = 1024 * 1024;

class Restore : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }

  static std::vector<std::string> files_of(const std::filesystem::path& folder) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename());
    return names;
  }
  static bool is_defined(const ProtectedDomain& subject, const std::string& name) {
    return base::run({.arguments = {"virsh", "-q", "-c", subject.domain.uri(), "dominfo", name}},
                     std::chrono::seconds(30))
               .exit_code == 0;
  }
  // 4 MiB of data in a file system of `size`.
  static std::filesystem::path mount_target(ProtectedDomain& subject, const std::string& size) {
    const auto folder = subject.domain.folder() / "target";
    std::filesystem::create_directory(folder);
    EXPECT_EQ(::mount("tmpfs", folder.c_str(), "tmpfs", 0, ("size=" + size + ",mode=0755").c_str()), 0);
    subject.domain.undo().folder(folder);
    return folder;
  }
};

TEST_F(Restore, OnlyTheDiskAskedFor) {
  ProtectedDomain subject({.disks = {{.target = "vda"}, {.target = "vdb", .image = {.format = "raw"}}}});
  subject.init();
  rig::write_pattern(subject.domain.disk_path("vdb"), "raw", k_mib, k_mib, 0x44);
  subject.must({"backup", subject.domain.name()});
  const auto folder = subject.domain.folder() / "out";
  subject.must({"restore", "latest", "--disks-only", "--disk", "vdb", "--to", folder});
  EXPECT_THAT(files_of(folder), testing::ElementsAre("vdb.raw"));
  EXPECT_EQ(rig::content_hash(folder / "vdb.raw", "raw"), subject.domain.hash_disk("vdb"));
  expect_error(subject.run({"restore", "latest", "--disks-only", "--disk", "vdz", "--to", folder}), 4, "vdz");
}

// As a snapshot of it, or a disk that is kept from being written to.
TEST_F(Restore, FromARepositoryThatCanOnlyBeRead) {
  ProtectedDomain subject;
  subject.init();
  subject.must({"backup", subject.domain.name()});
  const std::string kept = subject.repository();
  ASSERT_EQ(::mount(kept.c_str(), kept.c_str(), nullptr, MS_BIND, nullptr), 0);
  ASSERT_EQ(::mount(nullptr, kept.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr), 0);
  const auto folder = subject.domain.folder() / "out";
  const auto told = subject.must({"restore", "latest", "--disks-only", "--to", folder});
  EXPECT_THAT(told.error_output, HasSubstr("without a lock"));
  EXPECT_EQ(rig::content_hash(folder / "vda.qcow2", "qcow2"), subject.domain.hash_disk());
  for (const char* command : {"list", "stats", "verify"}) subject.must({command});
  expect_error(subject.run({"backup", subject.domain.name()}), 7, "Read-only");
  subject.expect_at_rest();
  subject.url = subject.domain.folder() / "another";
  subject.init();
  subject.must({"copy", "--from", kept, "--from-key-file", subject.key_file()});
  EXPECT_EQ(subject.restored_hash("latest"), subject.domain.hash_disk());
}

TEST_F(Restore, TwoFoldersOfOneFileSystemShareItsRoom) {
  ProtectedDomain subject({.disks = {{.target = "vda"}, {.target = "vdb"}}});
  subject.init();
  for (const std::string target : {"vda", "vdb"})
    rig::write_pattern(subject.domain.disk_path(target), "qcow2", k_mib, 8 * k_mib, 0x44);
  subject.must({"backup", subject.domain.name()});
  const auto folder = mount_target(subject, "14m");
  std::filesystem::create_directories(folder / "a");
  std::filesystem::create_directories(folder / "b");
  const auto vda = "vda=" + (folder / "a/disk").string();
  const auto vdb = "vdb=" + (folder / "b/disk").string();
  expect_error(subject.run({"restore", "latest", "--disks-only", "--disk-path", vda, "--disk-path", vdb}), 9,
               "needs 16");
  subject.must({"restore", "latest", "--disks-only", "--disk", "vdb", "--disk-path", vdb});
}

TEST_F(Restore, ADryRunPrintsTheDifferenceAndMakesNothing) {
  ProtectedDomain subject;
  subject.init();
  subject.must({"backup", subject.domain.name()});
  const std::string copy = subject.domain.name() + "-copy";
  const auto folder = subject.domain.folder() / "new/folder";
  const auto outcome = subject.must({"restore", "latest", "--as", copy, "--to", folder, "--dry-run"});
  EXPECT_THAT(outcome.output, HasSubstr("-  <name>" + subject.domain.name() + "</name>\n"));
  EXPECT_THAT(outcome.output, HasSubstr("+  <name>" + copy + "</name>\n"));
  EXPECT_THAT(outcome.output, HasSubstr("would write vda to " + (folder / (copy + ".vda.qcow2")).string()));
  EXPECT_FALSE(std::filesystem::exists(folder.parent_path()));
  EXPECT_FALSE(is_defined(subject, copy));
  const auto record = subject.must({"restore", "latest", "--as", copy, "--to", folder, "--dry-run", "--json"}).json();
  EXPECT_EQ(record.at("dry_run"), true);
  EXPECT_EQ(record.at("disks")[0].at("bytes_written"), 0);
}

TEST_F(Restore, AFileThatAnotherDomainUsesIsNotReplaced) {
  ProtectedDomain subject;
  subject.init();
  subject.must({"backup", subject.domain.name()});
  rig::TestDomain other({.disks = {{.existing = subject.domain.disk_path()}}});
  other.start_paused();
  other.monitor_write("vda", 0, k_mib, 0x77);
  const std::string theirs = other.hash_disk();
  expect_error(subject.run({"restore", "latest", "--replace"}), 5, other.name());
  EXPECT_EQ(other.hash_disk(), theirs);
  EXPECT_TRUE(other.is_running());
}

// The link of an administrator who moved a disk to another file system: it stays, and so does its name.
TEST_F(Restore, WhatALinkLeadsToIsReplaced) {
  ProtectedDomain subject;
  const auto link = subject.domain.disk_path();
  const auto file = subject.domain.folder() / "elsewhere/disk.qcow2";
  std::filesystem::create_directory(file.parent_path());
  std::filesystem::rename(link, file);
  std::filesystem::create_symlink(file, link);
  subject.init();
  const std::string definition = subject.definition();
  const std::string then = subject.domain.hash_disk();
  subject.must({"backup", subject.domain.name()});
  rig::write_pattern(file, "qcow2", k_mib, k_mib, 0x66);
  subject.must({"restore", "latest", "--replace"});
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(rig::content_hash(file, "qcow2"), then);
  EXPECT_THAT(files_of(file.parent_path()), testing::ElementsAre("disk.qcow2"));
  EXPECT_EQ(subject.definition(), definition);
  subject.domain.start_paused();
  subject.must({"backup", subject.domain.name()});
  subject.expect_at_rest();
}

TEST_F(Restore, UnderAnotherNameItMayStayTheSameMachine) {
  rig::DomainOptions options;
  options.devices_xml = "<interface type='user'><mac address='52:54:00:1c:ec:0e'/><model type='virtio'/></interface>";
  ProtectedDomain subject(options);
  subject.init();
  subject.must({"backup", subject.domain.name()});
  const std::string renamed = subject.domain.name() + "-new";
  subject.domain.undo().domain(renamed);
  const std::vector<std::string> restore = {"restore", "latest", "--as", renamed, "--keep-identity"};
  expect_error(subject.run(restore), 10, "'" + subject.domain.name() + "' has the same UUID");
  expect_error(subject.run({"restore", "latest", "--keep-identity"}), 2, "--as");
  ASSERT_EQ(::virDomainUndefine(subject.domain.handle()), 0);
  subject.must(restore);
  const rig::TestDomain back(
      {.disks = {{.existing = subject.domain.folder() / (renamed + ".vda.qcow2")}}, .name = renamed});
  EXPECT_THAT(back.inactive_xml(), HasSubstr(subject.domain.uuid()));
  EXPECT_THAT(back.inactive_xml(), HasSubstr("52:54:00:1c:ec:0e"));
  EXPECT_EQ(back.hash_disk(), subject.domain.hash_disk());
}

// Found before anything is written, not when libvirt refuses to define it.
TEST_F(Restore, ADomainThatWasRenamedIsNotReplaced) {
  ProtectedDomain subject;
  subject.init();
  subject.must({"backup", subject.domain.name()});
  rig::write_pattern(subject.domain.disk_path(), "qcow2", k_mib, k_mib, 0x67);
  const std::string now = subject.domain.hash_disk();
  const std::string renamed = subject.domain.name() + "-old";
  ASSERT_EQ(::virDomainRename(subject.domain.handle(), renamed.c_str(), 0), 0);
  subject.domain.undo().domain(renamed);
  expect_error(subject.run({"restore", "latest", "--replace"}), 10, "is called '" + renamed + "' now");
  EXPECT_EQ(subject.domain.hash_disk(), now);
  EXPECT_TRUE(is_defined(subject, renamed));
}

// Which may be why it is restored.
TEST_F(Restore, ABrokenImageStandsInNoRestoresWay) {
  ProtectedDomain subject({.disks = {{.target = "vda"}, {.target = "vdb"}}});
  subject.init();
  const std::string whole = subject.domain.hash_disk();
  subject.must({"backup", subject.domain.name()});
  rig::TestDomain other;
  for (const auto& image : {subject.domain.disk_path(), other.disk_path()})
    base::run_checked(
        {.arguments = {"dd", "if=/dev/zero", "of=" + image.string(), "bs=64k", "count=1", "conv=notrunc"}},
        std::chrono::seconds(30));
  const std::string copy = subject.domain.name() + "-copy";
  subject.domain.undo().domain(copy);
  subject.must({"restore", "latest", "--as", copy, "--to", subject.domain.folder() / "copy"});
  subject.must({"restore", "latest", "--replace"});
  EXPECT_EQ(subject.domain.hash_disk(), whole);
}

// Whose other disk is missing.
TEST_F(Restore, AFileOfADomainThatCannotStartIsNotReplaced) {
  ProtectedDomain subject;
  subject.init();
  subject.must({"backup", subject.domain.name()});
  rig::TestDomain other({.disks = {{.target = "vda"}, {.target = "vdb", .existing = subject.domain.disk_path()}}});
  std::filesystem::remove(other.disk_path());
  expect_error(subject.run({"restore", "latest", "--replace"}), 5, other.name());
}

TEST_F(Restore, ATimeNamesTheNewestPointUpToIt) {
  ProtectedDomain subject;
  subject.init();
  const std::string first = subject.domain.hash_disk();
  subject.must({"backup", subject.domain.name()});
  rig::write_pattern(subject.domain.disk_path(), "qcow2", 3 * k_mib, k_mib, 0x55);
  const std::string second = subject.domain.hash_disk();
  subject.must({"backup", subject.domain.name()});
  const base::Json points = subject.must({"list", "--json"}).json().at("points");
  ASSERT_EQ(points.size(), 2U);
  const std::string at = subject.domain.name() + "@";
  EXPECT_EQ(subject.restored_hash(at + points[0].at("time").get<std::string>()), first);
  EXPECT_EQ(subject.restored_hash(at + points[1].at("time").get<std::string>()), second);
  EXPECT_EQ(subject.restored_hash(at + "2999-01-01"), second);
  expect_error(subject.run({"restore", at + "2001-01-01", "--disks-only", "--to", subject.domain.folder() / "out"}), 4,
               at + "2001-01-01");
}

TEST_F(Restore, CtrlCLeavesNothing) {
  ProtectedDomain subject;
  subject.init();
  rig::write_pattern(subject.domain.disk_path(), "qcow2", 0, 16 * k_mib, 0x55);
  subject.must({"backup", subject.domain.name()});
  const std::string copy = subject.domain.name() + "-copy";
  const auto folder = subject.domain.folder() / "out";
  rig::IcecoreRun restore(subject.with_options({"restore", "latest", "--as", copy, "--to", folder}),
                          {{"ICECORE_FAILPOINTS", "restore.intent.written=pause"}});
  restore.wait_failpoint();
  restore.signal(SIGINT);
  restore.go_on();
  expect_error(restore.wait(), 130, "stopped on request");
  EXPECT_THAT(files_of(folder), IsEmpty());
  EXPECT_FALSE(is_defined(subject, copy));
  subject.expect_at_rest();
}

TEST_F(Restore, AFolderThatIsTooSmallIsRefused) {
  ProtectedDomain subject;
  subject.init();
  rig::write_pattern(subject.domain.disk_path(), "qcow2", 0, 4 * k_mib, 0x55);
  subject.must({"backup", subject.domain.name()});
  const auto folder = mount_target(subject, "2m");
  const std::string copy = subject.domain.name() + "-copy";
  expect_error(subject.run({"restore", "latest", "--as", copy, "--to", folder}), 9, folder);
  EXPECT_THAT(files_of(folder), IsEmpty());
  EXPECT_FALSE(is_defined(subject, copy));
}

// An increment's backup read little, its restore writes the whole disk.
TEST_F(Restore, TheRoomOfAnIncrementIsThatOfTheWholeDisk) {
  ProtectedDomain subject;
  subject.init();
  rig::write_pattern(subject.domain.disk_path(), "qcow2", 0, 4 * k_mib, 0x55);
  subject.domain.start_paused();
  subject.must({"backup", subject.domain.name()});
  subject.must({"backup", subject.domain.name()});
  ASSERT_EQ(subject.must({"show", "latest", "--json"}).json().at("disks")[0].at("change_map"), "bitmap");
  const auto folder = mount_target(subject, "3m");
  const std::vector<std::string> restore = {"restore", "latest", "--disks-only", "--to", folder};
  expect_error(subject.run(restore), 9, "the restore needs");
  EXPECT_THAT(files_of(folder), IsEmpty());
  EXPECT_THAT(
      subject.must({"restore", "latest", "--disks-only", "--to", subject.domain.folder() / "out", "--dry-run"}).output,
      HasSubstr("4.0 MiB of data"));
}

TEST_F(Restore, AFolderThatFillsUpMeanwhileIsLeftEmpty) {
  ProtectedDomain subject;
  subject.init();
  rig::write_pattern(subject.domain.disk_path(), "qcow2", 0, 4 * k_mib, 0x55);
  subject.must({"backup", subject.domain.name()});
  const auto folder = mount_target(subject, "6m");
  const std::string copy = subject.domain.name() + "-copy";
  rig::IcecoreRun restore(subject.with_options({"restore", "latest", "--as", copy, "--to", folder}),
                          {{"ICECORE_FAILPOINTS", "restore.fact.writing=pause"}});
  restore.wait_failpoint();
  base::run({.arguments = {"dd", "if=/dev/zero", "of=" + (folder / "filler").string(), "bs=1M", "count=4"}},
            std::chrono::seconds(30));
  restore.go_on();
  expect_error(restore.wait(), 9, folder);
  EXPECT_THAT(files_of(folder), testing::ElementsAre("filler"));
  EXPECT_FALSE(is_defined(subject, copy));
  subject.expect_at_rest();
}

TEST_F(Restore, ADamagedPointDoesNotStandInTheWayOfTheOthers) {
  ProtectedDomain subject;
  subject.init();
  subject.must({"backup", subject.domain.name()});
  const std::string damaged = subject.points().at(0);
  for (const auto& file : std::filesystem::recursive_directory_iterator(subject.repository() / "manifests")) {
    if (file.is_regular_file()) std::ofstream(file.path(), std::ios::trunc) << "damaged";
  }
  subject.must({"backup", subject.domain.name()});
  EXPECT_EQ(subject.restored_hash("latest"), subject.domain.hash_disk());
  const auto list = subject.run({"list"});
  EXPECT_EQ(list.exit_code, 8);
  EXPECT_THAT(list.error_output, HasSubstr(damaged));
}

}  // namespace
}  // namespace icecore::system_test
