// SPDX-License-Identifier: Apache-2.0
#include "cli/upload_session.hpp"

#include <thread>

#include "job/staging_check.hpp"
#include "unit/cli/program_case.hpp"

namespace icecore::cli {
namespace {

class UploadTest : public ProgramCase {
 protected:
  UploadTest() {
    run({"init", "--encryption", "none"});
    variables_["ICECORE_STAGING_DIR"] = folder_ / "staging";
  }
  std::string remote() { return variables_["ICECORE_REPOSITORY"]; }
  // A point that is complete in staging; its id.
  std::string stage_point() {
    staging::SpooledStorage storage(
        remote(), [this] { return storage::open_storage(remote()); }, folder_ / "staging");
    repository::Repository repository(storage, {}, folder_ / "state/cache");
    repository::Manifest point;
    point.id = base::random_id(16);
    point.domain_name = "web1";
    point.domain_uuid = base::random_uuid();
    point.time = base::now();
    repository::publish(repository, point);
    return point.id;
  }
};

TEST_F(UploadTest, PendingPointIsListedAndThenUploaded) {
  const std::string id = stage_point();
  ASSERT_EQ(run({"list", "--json"}), ExitCode::ok) << err_.str();
  EXPECT_EQ(record().at("points").at(0).at("id"), id);
  EXPECT_EQ(record().at("pending"), base::Json::array({id}));
  run({"list"});
  EXPECT_NE(err_.str().find("pending upload"), std::string::npos) << err_.str();
  run({"show", "latest"});
  EXPECT_NE(out_.str().find("pending upload"), std::string::npos) << out_.str();
  ASSERT_EQ(run({"upload", "--json"}), ExitCode::ok) << err_.str();
  EXPECT_EQ(record().at("results").at(0).at("published").size(), 1U);
  variables_.erase("ICECORE_STAGING_DIR");
  run({"list", "--json"});
  EXPECT_EQ(record().at("points").at(0).at("id"), id);
  EXPECT_TRUE(record().at("pending").empty());
}

TEST_F(UploadTest, NothingWaits) {
  EXPECT_EQ(run({"upload"}), ExitCode::ok);
  EXPECT_NE(out_.str().find("nothing waits"), std::string::npos);
}

TEST_F(UploadTest, RemoteThatStaysAwayIsExitCodeSix) {
  stage_point();
  std::filesystem::rename(remote(), folder_ / "away");
  EXPECT_EQ(run({"upload", "--retry-for", "1"}), ExitCode::unavailable);
  EXPECT_NE(err_.str().find("there is no folder"), std::string::npos) << err_.str();
  ASSERT_EQ(run({"list"}), ExitCode::ok) << err_.str();
  EXPECT_NE(err_.str().find("only points in staging are known"), std::string::npos) << err_.str();
}

TEST_F(UploadTest, WhatARemoteThatIsAwayMayHaveIsNotSaidToBeMissing) {
  stage_point();
  std::filesystem::rename(remote(), folder_ / "away");
  EXPECT_EQ(run({"list", "another"}), ExitCode::unavailable) << err_.str();
  EXPECT_EQ(run({"show", "another"}), ExitCode::unavailable) << err_.str();
  EXPECT_NE(err_.str().find("the repository cannot be asked"), std::string::npos) << err_.str();
  run({"list", "--json"});
  EXPECT_NE(record().at("unreached"), "");
}

TEST_F(UploadTest, OtherRepositoryBelowTheUrlIsAConflict) {
  stage_point();
  std::filesystem::remove_all(remote());
  variables_.erase("ICECORE_STAGING_DIR");
  run({"init", "--encryption", "none"});
  variables_["ICECORE_STAGING_DIR"] = folder_ / "staging";
  EXPECT_EQ(run({"upload"}), ExitCode::conflict);
  EXPECT_EQ(run({"list"}), ExitCode::conflict);
}

TEST_F(UploadTest, DoctorNamesWhatWaitsInStaging) {
  const auto findings = [&](base::Timestamp now) {
    return job::diagnose_staging(folder_ / "staging", "icecore upload", now);
  };
  EXPECT_EQ(findings(base::now()).at(0).severity, job::Severity::good);
  const std::string id = stage_point();
  const job::Finding waits = findings(base::now()).at(0);
  EXPECT_EQ(waits.severity, job::Severity::advice);
  for (const std::string& word :
       {remote(), base::format_time(base::now()).substr(0, 10), std::string("1 restore point")}) {
    EXPECT_NE(waits.text.find(word), std::string::npos) << waits.text;
  }
  EXPECT_EQ(waits.hint, "icecore upload");
  EXPECT_EQ(findings(base::now() + std::chrono::hours(25)).at(0).severity, job::Severity::problem);

  staging::Spool spool(staging::find_spools(folder_ / "staging").at(0), 1);
  const auto manifest = spool.queue().in_state(staging::ObjectState::queued).at(0);
  spool.queue().set_state(manifest.number, staging::ObjectState::refused, "", "blocks are missing");
  const job::Finding refused = findings(base::now()).at(0);
  EXPECT_EQ(refused.severity, job::Severity::problem);
  EXPECT_NE(refused.text.find(id.substr(0, 8)), std::string::npos) << refused.text;
  EXPECT_NE(refused.text.find("blocks are missing"), std::string::npos) << refused.text;
  EXPECT_NE(refused.hint.find("icecore backup "), std::string::npos) << refused.hint;
  const std::string later = "manifests/" + manifest.name.substr(10, 36) + "/20991121T093000123Z-0123456789abcdef";
  spool.queue().add(later, 1, "writer");
  spool.queue().set_state(spool.queue().find(later)->number, staging::ObjectState::published);
  EXPECT_EQ(findings(base::now()).at(0).severity, job::Severity::good) << "a later point made up for it";
}

TEST_F(UploadTest, RefusedPointsAreDroppedWhenAskedFor) {
  const std::string id = stage_point();
  staging::Spool spool(staging::find_spools(folder_ / "staging").at(0), 1);
  const auto manifest = spool.queue().in_state(staging::ObjectState::queued).at(0);
  spool.queue().set_state(manifest.number, staging::ObjectState::refused, "", "blocks are missing");
  ASSERT_EQ(run({"upload"}), ExitCode::ok) << err_.str();
  EXPECT_TRUE(spool.queue().find(manifest.name));
  ASSERT_EQ(run({"upload", "--drop-refused", "--json"}), ExitCode::ok) << err_.str();
  EXPECT_EQ(record().at("dropped"), (base::Json{{{"object", manifest.name}, {"reason", "blocks are missing"}}}));
  EXPECT_FALSE(spool.queue().find(manifest.name));
  EXPECT_FALSE(spool.objects().exists(manifest.name));
}

class UploadTurns : public UploadTest {
 protected:
  // Each a repository of its own with a point in staging.
  UploadTurns() {
    stage_point();
    variables_["ICECORE_REPOSITORY"] = other_;
    variables_.erase("ICECORE_STAGING_DIR");
    run({"init", "--encryption", "none"});
    variables_["ICECORE_STAGING_DIR"] = folder_ / "staging";
    stage_point();
    std::filesystem::rename(one_, away_);
  }
  static bool has_point(const std::filesystem::path& repository) {
    return std::filesystem::exists(repository / "manifests");
  }

  const std::filesystem::path one_ = folder_ / "repository";
  const std::filesystem::path other_ = folder_ / "other";
  const std::filesystem::path away_ = folder_ / "away";
};

TEST_F(UploadTurns, RemoteThatIsAwayHoldsNoOtherUp) {
  EXPECT_EQ(run({"upload", "--retry-for", "1"}), ExitCode::partial);
  EXPECT_TRUE(has_point(other_));
}

// Whichever is first, it has another turn.
TEST_F(UploadTurns, RemoteThatComesBackHasItsTurnAgain) {
  const std::jthread mount([&](const std::stop_token& stop) {
    while (!has_point(other_) && !stop.stop_requested()) std::this_thread::yield();
    std::filesystem::rename(away_, one_);
  });
  Session session{{.state_dir = folder_ / "state", .staging_dir = folder_ / "staging"},
                  console_,
                  [](const std::string&) { return std::nullopt; }};
  JobSession jobs(session);
  const std::vector<SpoolOutcome> outcomes = drain_spools(jobs, {}, base::Milliseconds(10));
  EXPECT_EQ(exit_code_of(outcomes), ExitCode::ok);
  EXPECT_EQ(outcomes.size(), 2U);
  EXPECT_TRUE(has_point(one_));
}

TEST_F(UploadTest, LimitsThatAreNoneAreUsage) {
  EXPECT_EQ(run({"upload", "--limit-upload", "fast"}), ExitCode::usage);
  EXPECT_EQ(run({"upload", "--keep-local", "-1"}), ExitCode::usage);
  EXPECT_EQ(run({"list", "--staging-limit", "much"}), ExitCode::usage);
}

}  // namespace
}  // namespace icecore::cli
