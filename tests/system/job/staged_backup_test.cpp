// SPDX-License-Identifier: Apache-2.0
// Backups by way of staging: kill -9 at every step of the upload, a remote that is away, two icecores uploading. The
// domain is on its base and the point arrives.
#include <gtest/gtest.h>

#include <signal.h>

#include <algorithm>
#include <thread>

#include "base/durable_file.hpp"
#include "rig/requirements.hpp"
#include "rig/ssh_server.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

constexpr std::uint64_t k_mib = 1024 * 1024;

class StagedBackup : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    ICECORE_NEEDS("root", "libvirt", "icecore");
    subject_.emplace();
    subject_->init();
    subject_->environment["ICECORE_STAGING_DIR"] = subject_->staging();
    subject_->domain.start_paused();
    subject_->domain.monitor_write("vda", 1 * k_mib, k_mib, 0x11);
    instant_ = subject_->domain.hash_disk();
  }
  std::string name() const { return subject_->domain.name(); }
  void remote_goes() { std::filesystem::rename(subject_->repository(), away()); }
  void remote_returns() { std::filesystem::rename(away(), subject_->repository()); }
  // What a fresh machine with the key sees.
  void without_staging() { subject_->environment.clear(); }

  std::optional<ProtectedDomain> subject_;
  std::string instant_;

 private:
  std::filesystem::path away() const { return subject_->domain.folder() / "away"; }
};

using StagedCrash = StagedBackup;

TEST_P(StagedCrash, RecoverAndTheNextBackupFinish) {
  const auto crashed = subject_->run({"backup", name()}, {{"ICECORE_FAILPOINTS", GetParam() + "=kill"}});
  ASSERT_EQ(crashed.exit_code, 137) << crashed.error_output;
  subject_->domain.monitor_write("vda", 5 * k_mib, k_mib, 0x22);
  const std::string written = subject_->domain.hash_disk();

  subject_->must({"recover"});
  subject_->expect_at_rest();
  subject_->must({"upload"});
  EXPECT_EQ(rig::content_hash(subject_->domain.disk_path(), "qcow2"), written) << "the guest lost what it wrote";
  const auto points = subject_->points();
  const bool sealed = GetParam().starts_with("upload.manifest") || GetParam().starts_with("backup.");
  if (sealed) {
    EXPECT_EQ(points.size(), 1U);
  }
  for (const std::string& point : points) EXPECT_EQ(subject_->restored_hash(point), instant_);

  subject_->must({"backup", name()});
  subject_->expect_at_rest();
  without_staging();
  EXPECT_EQ(subject_->points().size(), points.size() + 1);
  EXPECT_EQ(subject_->restored_hash("latest"), written);
}

INSTANTIATE_TEST_SUITE_P(EveryStep, StagedCrash,
                         testing::Values("staging.object_written", "staging.object_queued", "upload.pack.sending",
                                         "upload.pack.sent", "upload.pack.noted", "upload.index.sending",
                                         "upload.index.sent", "upload.index.noted", "upload.manifest.proved",
                                         "upload.manifest.sending", "upload.manifest.sent", "upload.manifest.noted",
                                         "upload.manifest.kept", "upload.manifest.settled", "backup.intent.uploading",
                                         "backup.acted.uploading", "backup.fact.uploading", "backup.fact.done"),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST_F(StagedBackup, DeadRemoteHoldsNoGuest) {
  subject_->must({"backup", name()});
  subject_->domain.monitor_write("vda", 3 * k_mib, k_mib, 0x33);
  const std::string second = subject_->domain.hash_disk();
  remote_goes();
  const auto outcome = subject_->must({"backup", name(), "--no-wait", "--json"}).json();
  EXPECT_EQ(outcome.at("results").at(0).at("pending"), true);
  subject_->expect_at_rest();
  const std::string id = outcome.at("results").at(0).at("point").at("id");
  EXPECT_EQ(subject_->must({"list", "--json"}).json().at("pending"), base::Json::array({id}));
  EXPECT_EQ(subject_->must({"show", id, "--json"}).json().at("pending"), true);
  EXPECT_EQ(subject_->run({"upload", "--retry-for", "1"}).exit_code, 6);
  remote_returns();
  subject_->must({"upload"});
  without_staging();
  EXPECT_EQ(subject_->points().size(), 2U);
  EXPECT_EQ(subject_->restored_hash("latest"), second);
}

TEST_F(StagedBackup, InterruptedWaitLeavesThePointToTheUpload) {
  subject_->must({"backup", name()});
  remote_goes();
  rig::Environment environment = subject_->environment;
  environment["ICECORE_FAILPOINTS"] = "backup.fact.uploading=pause";
  rig::IcecoreRun backup(subject_->with_options({"backup", name()}), environment);
  backup.wait_failpoint();
  backup.go_on();
  backup.signal(SIGTERM);
  const auto outcome = backup.wait();
  EXPECT_EQ(outcome.exit_code, 130) << outcome.error_output;
  EXPECT_NE(outcome.error_output.find("icecore upload"), std::string::npos) << outcome.error_output;
  subject_->expect_at_rest();
  remote_returns();
  subject_->must({"upload"});
  without_staging();
  EXPECT_EQ(subject_->points().size(), 2U);
}

// Another repository under the URL ends the upload; the point is not lost, and nobody is told so.
TEST_F(StagedBackup, UploadThatEndsLeavesThePointWaiting) {
  subject_->must({"backup", name()});
  rig::Environment environment = subject_->environment;
  environment["ICECORE_FAILPOINTS"] = "backup.fact.sealed=pause";
  remote_goes();
  rig::IcecoreRun backup(subject_->with_options({"backup", name(), "--json"}), environment);
  backup.wait_failpoint();
  remote_returns();
  const std::filesystem::path config = subject_->repository() / "config";
  const std::filesystem::path hidden = subject_->domain.folder() / "config";
  std::filesystem::rename(config, hidden);
  base::write_durably(config, base::as_bytes("somebody else's"), 0600);
  backup.go_on();
  const auto outcome = backup.wait();
  EXPECT_EQ(outcome.exit_code, 10) << outcome.error_output;
  EXPECT_NE(outcome.error_output.find("waits for its upload"), std::string::npos) << outcome.error_output;
  EXPECT_EQ(outcome.json().at("results").at(0).at("pending"), true);
  subject_->expect_at_rest();
  std::filesystem::rename(hidden, config);
  subject_->must({"upload"});
  EXPECT_EQ(subject_->points().size(), 2U);
}

TEST_F(StagedBackup, KeptPointRestoresWithoutTheRemote) {
  subject_->must({"backup", name(), "--keep-local", "1"});
  remote_goes();
  EXPECT_EQ(subject_->restored_hash("latest"), instant_);
}

TEST_F(StagedBackup, TwoUploadsAtOnceEndRightly) {
  subject_->must({"backup", name(), "--no-wait"});
  rig::IcecoreRun one(subject_->with_options({"upload"}), subject_->environment);
  rig::IcecoreRun two(subject_->with_options({"upload"}), subject_->environment);
  EXPECT_EQ(one.wait().exit_code, 0);
  EXPECT_EQ(two.wait().exit_code, 0);
  without_staging();
  EXPECT_EQ(subject_->restored_hash("latest"), instant_);
}

TEST_F(StagedBackup, FullStagingGivesTheBackupUpWithinTheOverlaysBudget) {
  subject_->must({"backup", name()});
  for (std::uint64_t mib = 2; mib < 6; ++mib) subject_->domain.monitor_write("vda", mib * k_mib, k_mib, 0x44);
  remote_goes();
  subject_->must({"backup", name(), "--no-wait"});  // holds a few KiB of the spool
  subject_->domain.monitor_write("vda", 8 * k_mib, k_mib, 0x77);
  const std::string written = subject_->domain.hash_disk();
  const auto alone = subject_->run({"backup", name(), "--no-wait", "--staging-limit", "1K"});
  EXPECT_EQ(alone.exit_code, 9) << alone.error_output;
  EXPECT_NE(alone.error_output.find("nobody uploads"), std::string::npos) << alone.error_output;
  subject_->expect_at_rest();
  rig::IcecoreRun backup(subject_->with_options({"backup", name(), "--staging-limit", "1K", "--overlay-age-max", "1"}),
                         subject_->environment);
  const auto outcome = backup.wait();
  EXPECT_EQ(outcome.exit_code, 6) << outcome.error_output;
  EXPECT_NE(outcome.error_output.find("is full"), std::string::npos) << outcome.error_output;
  subject_->expect_at_rest();
  EXPECT_EQ(subject_->domain.hash_disk(), written);
  remote_returns();
  subject_->must({"backup", name()});
  EXPECT_EQ(subject_->points().size(), 3U);
}

// The server dies while a pack is under way and comes back; the guest does not wait for either.
TEST(StagedOverSsh, ServerKilledMidPackAndStartedAgain) {
  ICECORE_NEEDS("root", "libvirt", "icecore", "program:sshd", "program:ssh-keygen");
  rig::SshServer server;
  ProtectedDomain subject;
  subject.environment = server.environment();
  subject.url = server.url("repository");
  subject.init();
  subject.domain.start_paused();
  subject.domain.monitor_write("vda", 1 * k_mib, k_mib, 0x11);
  const std::string instant = subject.domain.hash_disk();
  rig::Environment environment = subject.environment;
  environment["ICECORE_FAILPOINTS"] = "upload.pack.sending=pause";
  rig::IcecoreRun backup(subject.with_options({"backup", subject.domain.name()}), environment);
  backup.wait_failpoint();
  server.kill();
  backup.go_on();
  const base::Stopwatch watch;
  const auto is_at_rest = [&] {
    return subject.domain.live_source() == subject.domain.disk_path() && subject.domain.block_jobs().empty();
  };
  while (!is_at_rest() && watch.elapsed() < std::chrono::seconds(60)) std::this_thread::yield();
  EXPECT_TRUE(is_at_rest()) << "the guest waits for the network";
  EXPECT_FALSE(backup.has_ended());
  server.start();
  const auto outcome = backup.wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.error_output;
  subject.expect_at_rest();
  std::filesystem::remove_all(subject.state_dir());  // a fresh machine with URL and key
  EXPECT_EQ(subject.restored_hash("latest"), instant);
}

}  // namespace
}  // namespace icecore::system_test
