// SPDX-License-Identifier: Apache-2.0
// What recover says before it does it, and what it leaves alone.
#include <gmock/gmock.h>
#include <libvirt/libvirt.h>
#include <sys/mount.h>

#include <fstream>

#include "base/process.hpp"
#include "repository/repository_lock.hpp"
#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t k_mib = 1024 * 1024;

class Recover : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore"); }
};

TEST_F(Recover, ADryRunTellsAllAndChangesNothing) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  EXPECT_THAT(subject.must({"recover", "--dry-run"}).output, HasSubstr("nothing to recover"));
  EXPECT_FALSE(std::filesystem::exists(subject.state_dir() / "journal.sqlite"));
  subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "backup.fact.sealed=kill"}});
  const std::string overlay = subject.domain.live_source();
  EXPECT_NE(overlay, subject.domain.disk_path());
  for (int time = 0; time < 2; ++time) {
    const auto dry = subject.must({"recover", "--dry-run"});
    EXPECT_THAT(dry.output, HasSubstr("merge '" + overlay + "' into '" + subject.domain.disk_path().string() + "'"));
    EXPECT_THAT(dry.output, HasSubstr("publish restore point"));
    EXPECT_EQ(subject.domain.live_source(), overlay);
    EXPECT_TRUE(subject.points().empty());
  }
  const base::Json named = subject.must({"recover", "--dry-run", "--json", subject.domain.name()}).json();
  EXPECT_EQ(named.at("jobs").size(), 1U) << named.dump();  // the overlay is the job's
  const base::Json done = subject.must({"recover", "--json"}).json();
  ASSERT_EQ(done.at("jobs").size(), 1U);
  EXPECT_EQ(done.at("jobs")[0].at("finished"), true);
  EXPECT_EQ(done.at("jobs")[0].at("problem"), "");
  EXPECT_EQ(subject.points().size(), 1U);
  subject.expect_at_rest();
}

// The way back may be what makes room.
TEST_F(Recover, MergesWhenTheJournalIsFull) {
  ProtectedDomain subject;
  std::filesystem::create_directory(subject.state_dir());
  ASSERT_EQ(::mount("tmpfs", subject.state_dir().c_str(), "tmpfs", 0, "size=4m,mode=0700"), 0);
  subject.domain.undo().folder(subject.state_dir());
  subject.init();
  subject.domain.start_paused();
  subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "backup.fact.reading=kill"}});
  EXPECT_NE(subject.domain.live_source(), subject.domain.disk_path());
  const std::string newest = subject.domain.hash_disk();
  std::ofstream(subject.state_dir() / "big") << std::string(8 * k_mib, 'x') << std::flush;
  EXPECT_EQ(std::filesystem::space(subject.state_dir()).available, 0U);
  EXPECT_NE(subject.run({"recover"}).exit_code, 0);
  EXPECT_EQ(subject.domain.live_source(), subject.domain.disk_path());
  EXPECT_EQ(subject.domain.hash_disk(), newest);
  std::filesystem::remove(subject.state_dir() / "big");
  subject.must({"recover"});
  subject.expect_at_rest();
}

// Killed with its helper between libvirt making the checkpoint and being made to forget it.
class RecoverCheckpoint : public Recover {
 protected:
  void SetUp() override {
    Recover::SetUp();
    subject_.emplace();
    subject_->init();
    subject_->domain.start_paused();
    rig::IcecoreRun backup(subject_->with_options({"backup", name()}),
                           {{"ICECORE_FAILPOINTS", "checkpoint.made=pause"}});
    ASSERT_EQ(backup.wait_failpoint(), "checkpoint.made");
    backup.kill();  // which takes the helper along
    ASSERT_EQ(known(), 1);
  }
  std::string name() const { return subject_->domain.name(); }
  int known() const { return ::virDomainListAllCheckpoints(subject_->domain.handle(), nullptr, 0); }

  std::optional<ProtectedDomain> subject_;
};

TEST_F(RecoverCheckpoint, TheJournalledOneIsForgottenAndItsBitmapGoes) {
  EXPECT_THAT(subject_->must({"recover", "--dry-run"}).output, HasSubstr("let libvirt forget checkpoint 'icecore-"));
  EXPECT_EQ(known(), 1);
  const base::Json report = subject_->must({"recover", "--json"}).json();
  EXPECT_THAT(report.dump(), HasSubstr("let libvirt forget checkpoint 'icecore-"));
  EXPECT_EQ(known(), 0);
  subject_->expect_at_rest();
  subject_->domain.destroy();
  const std::string info =
      base::run_checked({.arguments = {"qemu-img", "info", subject_->domain.disk_path()}}, std::chrono::minutes(1));
  EXPECT_THAT(info, Not(HasSubstr("name: icecore-"))) << "no point will count from that bitmap";
}

TEST_F(RecoverCheckpoint, DoctorNamesItAndRecoverOfTheDomainNeedsNoJournal) {
  const auto sick = subject_->run({"doctor", "--json"});
  EXPECT_EQ(sick.exit_code, 1);
  EXPECT_THAT(sick.output, HasSubstr("libvirt still knows our checkpoint 'icecore-"));
  std::filesystem::remove_all(subject_->state_dir());
  EXPECT_THAT(subject_->run({"doctor"}).output, HasSubstr("icecore recover " + name()));
  subject_->must({"recover", name()});
  EXPECT_EQ(known(), 0);
  subject_->must({"backup", name()});
  subject_->expect_at_rest();
}

// The helper alone dies: the backup goes on without a bitmap and leaves nothing.
TEST_F(Recover, AHelperKilledBesideTheCheckpointCostsTheBitmapOnly) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  const auto outcome =
      subject.must({"backup", subject.domain.name(), "--json"}, {{"ICECORE_FAILPOINTS", "checkpoint.made=kill"}});
  EXPECT_THAT(outcome.output, HasSubstr("no bitmap could be made"));
  EXPECT_EQ(::virDomainListAllCheckpoints(subject.domain.handle(), nullptr, 0), 0);
  subject.expect_at_rest();
}

// It dies while the bitmap of the point before is removed: libvirt forgets that all the same.
TEST_F(Recover, AHelperKilledBesideAnOlderBitmapLeavesNoCheckpoint) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.must({"backup", subject.domain.name()});
  subject.must({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "checkpoint.told=kill"}});
  EXPECT_EQ(::virDomainListAllCheckpoints(subject.domain.handle(), nullptr, 0), 0);
  subject.expect_at_rest();
}

TEST_F(Recover, AKillBesideAnOlderBitmapLeavesNoCheckpointEither) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.must({"backup", subject.domain.name()});
  rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name()}),
                         {{"ICECORE_FAILPOINTS", "checkpoint.told=pause"}});
  ASSERT_EQ(backup.wait_failpoint(), "checkpoint.told");
  backup.kill();
  subject.must({"recover"});
  EXPECT_EQ(::virDomainListAllCheckpoints(subject.domain.handle(), nullptr, 0), 0);
  EXPECT_EQ(subject.points().size(), 2U);
  subject.expect_at_rest();
}

TEST_F(Recover, ADryRunHoldsNobodyUp) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "backup.fact.reading=kill"}});
  rig::IcecoreRun looking(subject.with_options({"recover", "--dry-run"}),
                          {{"ICECORE_FAILPOINTS", "recover.begun=pause"}});
  looking.wait_failpoint();
  subject.must({"backup", subject.domain.name()});
  looking.go_on();
  EXPECT_THAT(looking.wait().output, HasSubstr("nothing to recover"));
  subject.expect_at_rest();
}

TEST_F(Recover, ADryRunTellsThatTheDomainIsAtWork) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name()}),
                         {{"ICECORE_FAILPOINTS", "backup.fact.reading=pause"}});
  backup.wait_failpoint();
  std::vector<std::string> elsewhere = subject.with_options({"recover", "--dry-run", subject.domain.name()});
  elsewhere.back() = subject.domain.folder() / "other-state";
  for (const rig::IcecoreOutcome& told :
       {subject.must({"recover", "--dry-run", subject.domain.name()}), rig::icecore(elsewhere)}) {
    EXPECT_THAT(told.output, AllOf(HasSubstr(", at work now"), Not(HasSubstr("would be done"))));
    EXPECT_THAT(told.error_output, HasSubstr("another icecore is at work on it"));
  }
  backup.go_on();
  EXPECT_EQ(backup.wait().exit_code, 0);
}

// Listed while it was running, at work no more when its turn comes: what the user did since is not undone.
TEST_F(Recover, AJobThatEndedSinceItWasListedIsLeftAlone) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.must({"backup", subject.domain.name()});
  const std::string copy = subject.domain.name() + "-copy";
  subject.domain.undo().domain(copy);
  rig::IcecoreRun restore(
      subject.with_options({"restore", "latest", "--as", copy, "--to", subject.domain.folder() / "copy"}),
      {{"ICECORE_FAILPOINTS", "restore.fact.written=pause"}});
  restore.wait_failpoint();
  rig::IcecoreRun recover(subject.with_options({"recover"}), {{"ICECORE_FAILPOINTS", "recover.listed=pause"}});
  recover.wait_failpoint();
  restore.go_on();
  EXPECT_EQ(restore.wait().exit_code, 0);
  base::run_checked({.arguments = {"virsh", "-q", "undefine", copy}}, base::Milliseconds(30'000));
  recover.go_on();
  const auto outcome = recover.wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  EXPECT_THAT(outcome.output, HasSubstr("nothing to recover"));
  EXPECT_NE(base::run({.arguments = {"virsh", "-q", "dominfo", copy}}, base::Milliseconds(30'000)).exit_code, 0);
  subject.expect_at_rest();
}

// A domain it does not know is not a domain that is gone: nothing is merged beneath it, nothing defined elsewhere.
TEST_F(Recover, AnotherLibvirtIsNotTheOneToRecoverIn) {
  ProtectedDomain subject;
  subject.init();
  subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "backup.fact.reading=kill"}});
  const std::string overlay = subject.domain.inactive_source();
  ASSERT_NE(overlay, subject.domain.disk_path());
  std::vector<std::string> elsewhere = subject.with_options({"recover"});
  std::replace(elsewhere.begin(), elsewhere.end(), subject.domain.uri(), std::string("test:///default"));
  const rig::IcecoreOutcome told = rig::icecore(elsewhere);
  EXPECT_EQ(told.exit_code, 3);
  EXPECT_THAT(told.error_output, HasSubstr("icecore recover --connect " + subject.domain.uri()));
  EXPECT_EQ(subject.domain.inactive_source(), overlay);
  EXPECT_TRUE(std::filesystem::exists(overlay));
  subject.must({"recover"});
  subject.expect_at_rest();

  subject.must({"backup", subject.domain.name()});
  const std::string copy = subject.domain.name() + "-copy";
  subject.domain.undo().domain(copy);
  subject.run({"restore", "latest", "--as", copy, "--to", subject.domain.folder() / "copy"},
              {{"ICECORE_FAILPOINTS", "restore.fact.written=kill"}});
  EXPECT_EQ(rig::icecore(elsewhere).exit_code, 3);
  subject.must({"recover"});
  EXPECT_EQ(base::run({.arguments = {"virsh", "-q", "dominfo", copy}}, base::Milliseconds(30'000)).exit_code, 0);
}

// Shut off on an overlay that has what the guest wrote last; the backup is dead.
std::filesystem::path die_on_the_overlay(ProtectedDomain& subject) {
  subject.init();
  subject.domain.start_paused();
  subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "backup.fact.reading=kill"}});
  subject.domain.monitor_write("vda", 9 * k_mib, k_mib, 0x34);
  subject.domain.destroy();
  return subject.domain.inactive_source();
}

// Whose name is on the command line: what its job refuses to touch is not taken for nobody's in the same breath.
TEST_F(Recover, ADomainThatIsNamedIsNotMergedPastItsJobsRefusal) {
  ProtectedDomain subject;
  const std::filesystem::path overlay = die_on_the_overlay(subject);
  const std::filesystem::path base = subject.domain.disk_path();
  const std::filesystem::path mine = base.string() + ".mine";
  ASSERT_NE(overlay, base);
  std::filesystem::rename(base, mine);
  std::filesystem::copy_file(mine, base);  // another file in its place
  const std::string on_base = rig::content_hash(base, "qcow2");
  const std::string newest = rig::content_hash(overlay, "qcow2");
  ASSERT_NE(on_base, newest);
  for (const std::string& named : {subject.domain.name(), subject.domain.uuid()}) {
    EXPECT_THAT(subject.must({"recover", named, "--dry-run"}).output, Not(HasSubstr("no journal knows")));
    const auto told = subject.run({"recover", named});
    EXPECT_EQ(told.exit_code, 3);
    EXPECT_THAT(told.error_output, HasSubstr("has changed since the backup began"));
    EXPECT_THAT(told.output, Not(HasSubstr("no journal knows")));
    EXPECT_EQ(rig::content_hash(base, "qcow2"), on_base);
    EXPECT_EQ(rig::content_hash(overlay, "qcow2"), newest);
    EXPECT_EQ(subject.domain.inactive_source(), overlay);
  }
  std::filesystem::rename(mine, base);
  subject.must({"recover", subject.domain.name()});
  EXPECT_EQ(rig::content_hash(base, "qcow2"), newest);
  subject.expect_at_rest();
}

TEST_F(Recover, ADomainThatWasRenamedIsKnownByItsNewNameToo) {
  ProtectedDomain subject;
  const std::string newest = rig::content_hash(die_on_the_overlay(subject), "qcow2");
  const std::string renamed = subject.domain.name() + "-renamed";
  subject.domain.undo().domain(renamed);
  const auto rename = [&](const std::string& from, const std::string& to) {
    base::run_checked({.arguments = {"virsh", "-q", "-c", subject.domain.uri(), "domrename", from, to}},
                      base::Milliseconds(30'000));
  };
  rename(subject.domain.name(), renamed);
  const base::Json report = subject.must({"recover", renamed, "--json"}).json();
  rename(renamed, subject.domain.name());
  ASSERT_EQ(report.at("jobs").size(), 1U) << report.dump();
  EXPECT_NE(report.at("jobs")[0].at("id"), "") << "taken for an overlay that no journal knows";
  EXPECT_EQ(report.at("jobs")[0].at("finished"), true);
  EXPECT_THAT(subject.must({"recover"}).output, HasSubstr("nothing to recover"));
  EXPECT_EQ(rig::content_hash(subject.domain.disk_path(), "qcow2"), newest);
  subject.expect_at_rest();
}

// Nobody deletes blocks between the last look at them and the manifest.
TEST_F(Recover, APointIsPublishedUnderTheRepositorysLock) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "backup.fact.sealed=kill"}});
  {
    const auto storage = storage::open_storage(subject.repository());
    repository::Repository repository(*storage, repository::KeyFile{subject.key_file()}, subject.state_dir() / "other");
    const repository::RepositoryLock sweeping(repository, repository::LockMode::exclusive, "prune");
    const auto refused = subject.run({"recover"});
    EXPECT_EQ(refused.exit_code, 3);
    EXPECT_THAT(refused.error_output, HasSubstr("in use"));
    EXPECT_TRUE(subject.points().empty());
  }
  subject.must({"recover"});
  EXPECT_EQ(subject.points().size(), 1U);
  subject.expect_at_rest();
}

// It is told once, not for ever.
TEST_F(Recover, APointWhoseBlocksAreGoneEndsItsJob) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", k_mib, k_mib, 0x11);
  subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "backup.fact.committed=kill"}});
  std::filesystem::remove_all(subject.repository() / "index");
  std::filesystem::remove_all(subject.repository() / "packs");
  const auto told = subject.run({"recover"});
  EXPECT_EQ(told.exit_code, 3);
  EXPECT_THAT(told.error_output, HasSubstr("cannot be published"));
  EXPECT_THAT(told.error_output, HasSubstr("run the backup again"));
  EXPECT_TRUE(subject.points().empty());
  EXPECT_THAT(subject.must({"recover"}).output, HasSubstr("nothing to recover"));
  subject.must({"backup", subject.domain.name()});
  subject.expect_at_rest();
}

// Only lost blocks end a job without its point: whatever else is in the way may be cured.
TEST_F(Recover, AnObstacleLeavesThePointToTheNextRecovery) {
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", k_mib, k_mib, 0x11);
  const std::string instant = subject.domain.hash_disk();
  subject.run({"backup", subject.domain.name()}, {{"ICECORE_FAILPOINTS", "backup.acted.published=kill"}});
  std::filesystem::path manifest;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(subject.repository() / "manifests")) {
    if (entry.is_regular_file()) manifest = entry.path();
  }
  ASSERT_FALSE(manifest.empty());
  std::filesystem::resize_file(manifest, 10);  // as a power loss of the storage leaves it
  EXPECT_EQ(subject.run({"recover"}).exit_code, 3);
  std::filesystem::remove(manifest);
  subject.must({"recover"});
  EXPECT_EQ(subject.restored_hash("latest"), instant);
  subject.expect_at_rest();
}

}  // namespace
}  // namespace icecore::system_test
