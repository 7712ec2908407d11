// SPDX-License-Identifier: Apache-2.0
// kill -9 at the steps of an upload whose remote is gone when somebody recovers; a server that loses power; uploads
// beside each other; and a dead remote that holds up no guest of several.
#include <signal.h>

#include <set>

#include "job/journal.hpp"
#include "rig/requirements.hpp"
#include "system/job/remote_guest.hpp"

namespace icecore::system_test {
namespace {

namespace fs = std::filesystem;

class RemoteCrash : public testing::Test {
 protected:
  void SetUp() override {
    ICECORE_NEEDS("root", "libvirt", "guest", "icecore", "program:sshd", "program:ssh-keygen");
    remote_.emplace(/*noise_mib=*/2);
    remote_->subject.init();
  }
  // With a remote that does not answer; what waits for its upload is left to another.
  void recover_alone() {
    job::Journal journal(remote_->subject.state_dir());
    if (journal.open_jobs().empty()) return;
    rig::IcecoreRun recover(remote_->subject.with_options({"recover"}), remote_->subject.environment);
    wait_until("the journal is clear", [&] { return journal.open_jobs().empty(); });
    recover.signal(SIGTERM);
    const auto outcome = recover.wait();
    EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  }
  std::set<std::string> ids() const {
    const std::vector<std::string> all = remote_->subject.points();
    return {all.begin(), all.end()};
  }
  std::vector<fs::path> files_in(const std::string& folder) const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(remote_->repository() / folder)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
    return files;
  }

  void die_at_each(const std::vector<std::string>& steps);

  std::optional<RemoteGuest> remote_;
};

// The remote is dead when somebody recovers. One guest for some of them: a boot takes longer than a step.
void RemoteCrash::die_at_each(const std::vector<std::string>& steps) {
  remote_->subject.must({"backup", remote_->subject.domain.name()});  // all the others may die before they are points
  std::string last = remote_->subject.restored_hash("latest");
  for (const std::string& step : steps) {
    SCOPED_TRACE(step);
    const std::set<std::string> before = ids();
    remote_->write_noise(1);
    // The point before is settled again first.
    const std::string action = step == "manifest.settled" ? "=kill:2" : "=kill";
    ASSERT_EQ(remote_->begin_backup("upload." + step + action).wait().exit_code, 137);
    remote_->server.kill();
    recover_alone();
    remote_->wait_on_base();
    remote_->server.start();
    remote_->subject.must({"upload"});
    // Killed while it was still reading, a backup is forgotten.
    const std::set<std::string> after = ids();
    EXPECT_LE(after.size(), before.size() + 1);
    if (step.starts_with("manifest")) {
      EXPECT_EQ(after.size(), before.size() + 1);
    }
    if (after.size() > before.size()) last = remote_->instant();
  }
  remote_->expect_nothing_lost(last);
}

TEST_F(RemoteCrash, AtEveryStepThatUploadsPacks) { die_at_each({"pack.sending", "pack.sent", "pack.noted"}); }
TEST_F(RemoteCrash, AtEveryStepThatUploadsTheIndex) { die_at_each({"index.sending", "index.sent", "index.noted"}); }
TEST_F(RemoteCrash, AtEveryStepThatUploadsTheManifest) {
  die_at_each({"manifest.proved", "manifest.sending", "manifest.sent"});
}
TEST_F(RemoteCrash, AtEveryStepAfterTheManifest) {
  die_at_each({"manifest.noted", "manifest.kept", "manifest.settled"});
}

// What it had not written down yet is short, zeroed or gone, whatever it answered before.
TEST_F(RemoteCrash, OfTheServerBeforeThePointIsPublished) {
  remote_->begin_backup("upload.index.noted=pause");
  remote_->server.kill();
  const std::vector<fs::path> packs = files_in("packs");
  ASSERT_GE(packs.size(), 2U);
  fs::resize_file(packs[0], fs::file_size(packs[0]) / 2);
  const auto size = fs::file_size(packs[1]);
  fs::resize_file(packs[1], 0);
  fs::resize_file(packs[1], size);
  for (const fs::path& index : files_in("index")) fs::remove(index);
  remote_->server.start();
  const auto outcome = remote_->end_backup();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  remote_->expect_nothing_lost(remote_->instant());
}

TEST_F(RemoteCrash, OfOneUploadBesideAnother) {
  remote_->begin_backup("backup.fact.sealed=pause", {"--no-wait"});
  EXPECT_EQ(remote_->end_backup().exit_code, 0);
  rig::Environment environment = remote_->subject.environment;
  environment["ICECORE_FAILPOINTS"] = "upload.pack.sent=pause";
  rig::IcecoreRun one(remote_->subject.with_options({"upload"}), environment);
  one.wait_failpoint();
  rig::IcecoreRun two(remote_->subject.with_options({"upload"}), remote_->subject.environment);
  rig::IcecoreRun three(remote_->subject.with_options({"upload"}), remote_->subject.environment);
  const auto beside = remote_->subject.run({"upload", "--retry-for", "1"});
  EXPECT_EQ(beside.exit_code, 6) << beside.error_output;
  EXPECT_NE(beside.error_output.find("another icecore uploads"), std::string::npos) << beside.error_output;
  EXPECT_FALSE(two.has_ended());
  one.kill();
  EXPECT_EQ(two.wait().exit_code, 0);
  EXPECT_EQ(three.wait().exit_code, 0);
  EXPECT_EQ(remote_->subject.points().size(), 1U);
  remote_->expect_nothing_lost(remote_->instant());
}

TEST_F(RemoteCrash, OfTheServerHoldsUpNoneOfTwoGuests) {
  remote_->subject.must({"backup", remote_->name()});
  rig::TestDomain other({.disks = {{.image = {.file_system = true}}}});
  other.start();
  rig::Guest(other).wait_agent();
  remote_->server.kill();
  rig::Environment environment = remote_->subject.environment;
  environment["ICECORE_FAILPOINTS"] = "backup.fact.done=pause:2";
  rig::IcecoreRun backup(remote_->subject.with_options({"backup", remote_->name(), other.name()}), environment);
  backup.wait_failpoint();
  remote_->subject.expect_at_rest();
  EXPECT_EQ(other.live_source(), other.disk_path());
  EXPECT_TRUE(other.block_jobs().empty());
  EXPECT_EQ(remote_->subject.must({"list", "--json"}).json().at("pending").size(), 2U);
  backup.go_on();
  remote_->server.start();
  const auto outcome = backup.wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  EXPECT_TRUE(remote_->subject.must({"list", "--json"}).json().at("pending").empty());
  EXPECT_EQ(remote_->subject.points().size(), 3U);
  remote_->subject.must({"verify", "--read-data"});
}

// All three reach a prune that marks what it can: garbage and a point that was forgotten.
TEST_F(RemoteCrash, OfNobodyWhenAPruneRunsBesideABackupAndARestore) {
  remote_->begin_backup("backup.fact.sealed=pause");
  EXPECT_EQ(remote_->end_backup().exit_code, 0);
  const std::string kept = remote_->subject.points().at(0);
  const std::string kept_disk = remote_->instant();
  remote_->write_noise(2);
  remote_->subject.must({"backup", remote_->name()});
  remote_->guest.shell("rm /mnt/noise-2 && sync");
  remote_->begin_backup("backup.fact.reading=pause");
  const fs::path to = remote_->subject.domain.folder() / "restored";
  rig::Environment environment = remote_->subject.environment;
  environment["ICECORE_FAILPOINTS"] = "restore.fact.planned=pause";
  rig::IcecoreRun restore(remote_->subject.with_options({"restore", kept, "--disks-only", "--to", to}), environment);
  restore.wait_failpoint();
  remote_->subject.must({"forget", remote_->subject.points().at(1)});
  const base::Json marked = remote_->subject.must({"prune", "--grace", "0s", "--json"}).json();
  EXPECT_EQ(marked.at("deleted").at("packs"), 0) << "under a backup's lock";
  EXPECT_GT(marked.at("waiting").at("packs"), 0);
  restore.go_on();
  EXPECT_EQ(restore.wait().exit_code, 0);
  EXPECT_EQ(rig::content_hash(to / "vda.qcow2", "qcow2"), kept_disk);
  const auto outcome = remote_->end_backup();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  const base::Json swept = remote_->subject.must({"prune", "--grace", "0s", "--json"}).json();
  EXPECT_EQ(swept.at("waiting").at("packs"), 0);
  EXPECT_EQ(remote_->subject.points().size(), 2U);
  remote_->expect_nothing_lost(remote_->instant());
}

}  // namespace
}  // namespace icecore::system_test
