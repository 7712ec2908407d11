// SPDX-License-Identifier: Apache-2.0
// What users get wrong and what the world does to them: one line that names the thing, the next command, the
// right exit code, and a guest that is untouched or put back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>

#include <algorithm>
#include <fstream>

#include "base/process.hpp"
#include "rig/requirements.hpp"
#include "rig/xml_query.hpp"
#include "system/job/expect_error.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t k_mib = 1024 * 1024;

class BadInput : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }

  static void mount_small(ProtectedDomain& subject, const std::filesystem::path& folder, const std::string& size) {
    std::filesystem::create_directories(folder);
    ASSERT_EQ(::mount("tmpfs", folder.c_str(), "tmpfs", 0, ("size=" + size + ",mode=0755").c_str()), 0);
    subject.domain.undo().folder(folder);
  }

  // As much of `bytes` as there is room for.
  static void fill(const std::filesystem::path& file, std::uint64_t bytes) {
    const std::string page(4096, 'x');
    std::ofstream out(file, std::ios::binary);
    for (std::uint64_t done = 0; done < bytes && out.write(page.data(), 4096).flush(); done += page.size()) continue;
  }

  static void virsh(const std::vector<std::string>& arguments) {
    base::Command command{.arguments = {"virsh", "-q", "-c", "qemu:///system"}};
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    base::run_checked(command, std::chrono::seconds(60));
  }
};

TEST_F(BadInput, UnknownDomain) {
  ProtectedDomain subject;
  subject.init();
  expect_error(subject.run({"backup", "no-such-domain"}), 4, "no-such-domain");
  subject.expect_at_rest();
}

TEST_F(BadInput, NoRepository) {
  ProtectedDomain subject;
  expect_error(subject.run({"backup", subject.domain.name()}), 4, subject.repository().string());
  std::filesystem::create_directories(subject.repository());
  expect_error(subject.run({"list"}), 4, subject.repository().string());
  std::ofstream(subject.repository() / "letter.txt") << "dear";
  expect_error(subject.run({"backup", subject.domain.name()}), 4, subject.repository().string());
  expect_error(subject.run({"init"}), 10, "letter.txt");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(subject.repository()), {}), 1);
}

TEST_F(BadInput, WrongKey) {
  ProtectedDomain subject;
  subject.init();
  const auto other = subject.domain.folder() / "other-key";
  std::ofstream(other) << "icecore-key-v1 " << std::string(64, 'a') << "\n";
  std::filesystem::permissions(other, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  auto arguments = subject.with_options({"backup", subject.domain.name()});
  std::replace(arguments.begin(), arguments.end(), subject.key_file().string(), other.string());
  expect_error(rig::icecore(arguments), 7, "key");
  subject.expect_at_rest();
}

TEST_F(BadInput, TheRepositoryIsFull) {
  ProtectedDomain subject;
  mount_small(subject, subject.repository(), "4m");
  subject.init();
  subject.domain.start_paused();
  const auto noise = subject.domain.folder() / "noise";
  base::run_checked({.arguments = {"sh", "-c", "head -c 2M /dev/urandom >" + noise.string()}},
                    std::chrono::seconds(10));
  virsh({"qemu-monitor-command", subject.domain.name(), "--hmp",
         "qemu-io -d /machine/peripheral/virtio-disk0/virtio-backend \"write -q -s " + noise.string() + " 0 2M\""});
  const std::string filler = (subject.repository() / "filler").string();
  base::run({.arguments = {"sh", "-c", "head -c 8M /dev/zero >" + filler + "; truncate -s -262144 " + filler}},
            std::chrono::seconds(10));
  expect_error(subject.run({"backup", subject.domain.name()}), 9, "No space left");
  subject.expect_at_rest();
}

TEST_F(BadInput, TheOverlaysFolderIsFull) {
  ProtectedDomain subject;
  subject.init();
  const auto folder = subject.domain.folder() / "small";
  mount_small(subject, folder, "4m");
  base::run_checked({.arguments = {"dd", "if=/dev/zero", "of=" + (folder / "filler").string(), "bs=4096", "count=1000",
                                   "status=none"}},
                    std::chrono::seconds(10));
  subject.domain.start_paused();
  expect_error(subject.run({"backup", subject.domain.name(), "--overlay-dir", folder.string()}), 9, folder.string());
  subject.expect_at_rest();
}

// Running, since of a paused guest nothing else is asked.
void expect_not_quiesced(ProtectedDomain& subject, const std::string& reason) {
  subject.init();
  expect_error(subject.run({"backup", subject.domain.name(), "--quiesce=required"}), 6, reason);
  subject.expect_at_rest();
  EXPECT_TRUE(subject.points().empty());
}

// The guest's way back to its own disks makes room, and does not wait for some.
TEST_F(BadInput, TheStateFolderIsFull) {
  for (const std::string where : {"thawed", "sealed"}) {
    ProtectedDomain subject;
    mount_small(subject, subject.state_dir(), "2m");
    subject.init();
    subject.domain.start_paused();
    rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name()}),
                           {{"ICECORE_FAILPOINTS", "backup.fact." + where + "=pause"}});
    backup.wait_failpoint();
    const auto filling = subject.state_dir() / "filling";
    fill(filling, 2 * k_mib);
    backup.go_on();
    const auto outcome = backup.wait();
    EXPECT_EQ(outcome.exit_code, 9);
    EXPECT_NE(outcome.error_output.find("the job is still open in the journal"), std::string::npos)
        << outcome.error_output;
    EXPECT_EQ(subject.domain.live_source(), subject.domain.disk_path()) << where;
    std::filesystem::remove(filling);
    subject.must({"recover"});
    EXPECT_EQ(subject.points().size(), where == "sealed" ? 1U : 0U);
    subject.expect_at_rest();
  }
}

TEST_F(BadInput, ARestoreThatFilledTheStateFoldersDiskLeavesNothing) {
  ProtectedDomain subject;
  mount_small(subject, subject.state_dir(), "8m");
  subject.init();
  rig::write_pattern(subject.domain.disk_path(), "qcow2", 0, 4 * k_mib, 0x55);
  subject.must({"backup", subject.domain.name()});
  const auto folder = subject.state_dir() / "restored";
  rig::IcecoreRun restore(subject.with_options({"restore", "latest", "--disks-only", "--to", folder}),
                          {{"ICECORE_FAILPOINTS", "restore.fact.writing=pause"}});
  restore.wait_failpoint();
  fill(subject.state_dir() / "filling", 5 * k_mib);
  restore.go_on();
  expect_error(restore.wait(), 9, folder);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  subject.must({"recover"});
  subject.expect_at_rest();
}

TEST_F(BadInput, NoAgentChannelWhereQuiesceIsRequired) {
  ICECORE_NEEDS("guest");
  ProtectedDomain subject({.agent_channel = false});
  subject.domain.start();
  expect_not_quiesced(subject, "no channel for the guest agent");
}

TEST_F(BadInput, NoAgentWhereQuiesceIsRequired) {
  ICECORE_NEEDS("guest");
  ProtectedDomain subject({.kernel_words = "rig.agent=off"});
  subject.domain.start();
  expect_not_quiesced(subject, "no agent in the guest");
}

TEST_F(BadInput, APausedGuestWhereQuiesceIsRequired) {
  ProtectedDomain subject;
  subject.domain.start_paused();
  expect_not_quiesced(subject, "paused");
}

TEST_F(BadInput, TwoBackupsOfOneDomainAtOnce) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  rig::IcecoreRun first(subject.with_options({"backup", subject.domain.name()}),
                        {{"ICECORE_FAILPOINTS", "backup.fact.reading=pause"}});
  first.wait_failpoint();
  expect_error(subject.run({"backup", subject.domain.name()}), 5, subject.domain.name());
  first.go_on();
  EXPECT_EQ(first.wait().exit_code, 0);
  subject.expect_at_rest();
}

TEST_F(BadInput, AnotherStateFolderSeesTheRunningBackupToo) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  rig::IcecoreRun first(subject.with_options({"backup", subject.domain.name()}),
                        {{"ICECORE_FAILPOINTS", "backup.fact.reading=pause"}});
  first.wait_failpoint();
  auto elsewhere = [&](std::vector<std::string> arguments) {
    arguments = subject.with_options(std::move(arguments));
    arguments.back() = (subject.domain.folder() / "other-state").string();
    return rig::icecore(arguments);
  };
  expect_error(elsewhere({"backup", subject.domain.name()}), 5, subject.domain.name());
  elsewhere({"recover", subject.domain.name()});
  EXPECT_NE(subject.domain.live_source(), subject.domain.disk_path()) << "took the overlay from a running backup";
  first.go_on();
  EXPECT_EQ(first.wait().exit_code, 0);
  subject.expect_at_rest();
}

TEST_F(BadInput, AnOverlayWhoseJournalIsLostIsMergedByName) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "backup.fact.reading=kill"}});
  subject.domain.monitor_write("vda", 5 * k_mib, k_mib, 0x22);
  const std::string written = subject.domain.hash_disk();
  std::filesystem::remove_all(subject.state_dir());
  subject.must({"recover", subject.domain.name()});
  subject.expect_at_rest();
  EXPECT_EQ(subject.domain.hash_disk(), written);
}

TEST_F(BadInput, ADiskResizedInTheWindow) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name()}),
                         {{"ICECORE_FAILPOINTS", "backup.intent.reading=pause"}});
  backup.wait_failpoint();
  virsh({"blockresize", subject.domain.name(), "vda", "96M"});
  backup.go_on();
  expect_error(backup.wait(), 10, "resized");
  subject.expect_at_rest();
  subject.must({"backup", subject.domain.name()});
}

TEST_F(BadInput, SomebodyPutsASnapshotOnTopOfOurs) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name()}),
                         {{"ICECORE_FAILPOINTS", "backup.intent.reading=pause"}});
  backup.wait_failpoint();
  const auto theirs = subject.domain.folder() / "theirs.qcow2";
  virsh({"snapshot-create-as", subject.domain.name(), "--disk-only", "--no-metadata", "--diskspec",
         "vda,file=" + theirs.string()});
  backup.go_on();
  expect_error(backup.wait(), 10, "vda");
  EXPECT_EQ(subject.domain.live_source(), theirs) << "their snapshot was touched";
  virsh({"blockcommit", subject.domain.name(), "vda", "--active", "--pivot", "--shallow", "--wait"});
  subject.must({"recover"});
  subject.expect_at_rest();
}

// It lies in our overlay, memory and all.
TEST_F(BadInput, SomebodyMakesAnInternalSnapshotMeanwhile) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name()}),
                         {{"ICECORE_FAILPOINTS", "backup.intent.reading=pause"}});
  backup.wait_failpoint();
  virsh({"snapshot-create-as", subject.domain.name(), "theirs"});
  const std::filesystem::path overlay = subject.domain.live_source();
  backup.go_on();
  const auto outcome = backup.wait();
  expect_error(outcome, 10, "internal snapshots (theirs)");
  EXPECT_THAT(outcome.error_output, HasSubstr("virsh snapshot-delete"));
  EXPECT_EQ(subject.domain.live_source(), overlay) << "the snapshot is in it";
  EXPECT_EQ(subject.points().size(), 1U);
  subject.domain.kill_qemu();
  const auto refused = subject.run({"recover"});
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.output + refused.error_output, HasSubstr("internal snapshots (theirs)"));
  virsh({"snapshot-delete", subject.domain.name(), "theirs"});
  subject.must({"recover"});
  subject.expect_at_rest();
}

TEST_F(BadInput, CtrlCPutsTheDomainBack) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name()}),
                         {{"ICECORE_FAILPOINTS", "backup.intent.reading=pause"}});
  backup.wait_failpoint();
  backup.signal(SIGINT);
  backup.go_on();
  expect_error(backup.wait(), 130, "interrupted");
  subject.expect_at_rest();
  EXPECT_TRUE(subject.points().empty());
}

TEST_F(BadInput, CtrlCAfterTheFirstDomainNamesTheOthers) {
  ProtectedDomain subject;
  subject.init();
  rig::TestDomain other;
  rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name(), other.name(), "--json"}),
                         {{"ICECORE_FAILPOINTS", "backup.fact.sealed=pause"}});
  backup.wait_failpoint();
  backup.signal(SIGTERM);
  backup.go_on();
  const rig::IcecoreOutcome outcome = backup.wait();
  expect_error(outcome, 130, other.name());
  const base::Json results = outcome.json().at("results");
  ASSERT_EQ(results.size(), 2U);
  EXPECT_EQ(results[0].at("ok"), true) << "sealed, and so nothing to cut short";
  EXPECT_EQ(results[1].at("error").at("fault"), "cancelled");
  EXPECT_EQ(subject.points().size(), 1U);
  subject.expect_at_rest();
}

TEST_F(BadInput, CtrlCOfARecoverEndsItBetweenTwoDomains) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  ProtectedDomain other;
  other.domain.start_paused();
  for (const std::string& name : {subject.domain.name(), other.domain.name()}) {
    subject.run({"backup", name}, {{"ICECORE_FAILPOINTS", "backup.fact.sealed=kill"}});
  }
  rig::IcecoreRun recover(subject.with_options({"recover"}), {{"ICECORE_FAILPOINTS", "recover.merged=pause"}});
  recover.wait_failpoint();
  recover.signal(SIGINT);
  recover.go_on();
  expect_error(recover.wait(), 130, other.domain.name());
  subject.must({"recover"});
  subject.expect_at_rest();
  EXPECT_EQ(other.domain.live_source(), other.domain.disk_path());
  EXPECT_EQ(subject.points().size(), 2U);
}

TEST_F(BadInput, ARestoreWritesOverNothing) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.must({"backup", subject.domain.name()});
  expect_error(subject.run({"restore", "latest"}), 10, subject.domain.name());
  const auto folder = subject.domain.folder() / "out";
  subject.must({"restore", "latest", "--disks-only", "--to", folder.string()});
  expect_error(subject.run({"restore", "latest", "--disks-only", "--to", folder.string()}), 10, "vda.qcow2");
  expect_error(subject.run({"restore", "feedbeef"}), 4, "feedbeef");
  subject.expect_at_rest();
}

TEST_F(BadInput, ARestoreInterruptedLeavesNothing) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.must({"backup", subject.domain.name()});
  const auto folder = subject.domain.folder() / "out";
  for (const char* failpoint : {"restore.fact.planned", "restore.fact.writing", "restore.acted.written"}) {
    const auto killed = subject.run({"restore", "latest", "--disks-only", "--to", folder.string()},
                                    {{"ICECORE_FAILPOINTS", std::string(failpoint) + "=kill"}});
    EXPECT_EQ(killed.exit_code, 137) << failpoint << killed.error_output;
    subject.must({"recover"});
    EXPECT_TRUE(std::filesystem::is_empty(folder)) << failpoint;
  }
  const auto late = subject.run({"restore", "latest", "--disks-only", "--to", folder.string()},
                                {{"ICECORE_FAILPOINTS", "restore.fact.written=kill"}});
  EXPECT_EQ(late.exit_code, 137);
  subject.must({"recover"});
  EXPECT_EQ(rig::content_hash(folder / "vda.qcow2", "qcow2"), subject.domain.hash_disk())
      << "a complete restore was not finished";
}

}  // namespace
}  // namespace icecore::system_test
