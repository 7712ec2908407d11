// SPDX-License-Identifier: Apache-2.0
#include "cli/backup_batch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "unit/cli/program_case.hpp"

namespace icecore::cli {
namespace {

using base::Fault;

DomainOutcome fine(const std::string& domain) { return {domain, job::BackupReport{}, {}}; }
DomainOutcome failed(const std::string& domain, Fault fault) { return {domain, {}, base::Error(fault, "why")}; }

TEST(BackupBatch, ExitCodeOfOneDomainIsItsFault) {
  EXPECT_EQ(exit_code_of({fine("a")}), ExitCode::ok);
  EXPECT_EQ(exit_code_of({failed("a", Fault::no_space)}), ExitCode::no_space);
}

TEST(BackupBatch, ExitCodeOfSeveralIsPartialOrCancelled) {
  EXPECT_EQ(exit_code_of({fine("a"), fine("b")}), ExitCode::ok);
  EXPECT_EQ(exit_code_of({fine("a"), failed("b", Fault::busy)}), ExitCode::partial);
  EXPECT_EQ(exit_code_of({failed("a", Fault::busy), failed("b", Fault::busy)}), ExitCode::partial);
  EXPECT_EQ(exit_code_of({failed("a", Fault::busy), failed("b", Fault::cancelled)}), ExitCode::cancelled);
}

class BackupBatchStopped : public ProgramCase {};

TEST_F(BackupBatchStopped, NamesTheDomainsNotBegun) {
  ASSERT_EQ(run({"init", "--encryption", "none"}), ExitCode::ok);
  Session session{{.connect_uri = "no:///libvirt", .state_dir = folder_ / "state"}, console_, process_environment()};
  JobSession jobs(session);
  ::kill(::getpid(), SIGINT);
  const base::Stopwatch watch;
  while (!jobs.stop().stop_requested()) ASSERT_LT(watch.elapsed(), std::chrono::seconds(10));
  open([&](repository::Repository& repository) {
    const auto outcomes = back_up_domains(jobs, repository, {"web1", "db"}, {});
    EXPECT_EQ(exit_code_of(outcomes), ExitCode::cancelled);
    const base::Json results = outcomes_record(outcomes)["results"];
    ASSERT_EQ(results.size(), 2U);
    EXPECT_EQ(results[1]["domain"], "db");
    EXPECT_EQ(results[1]["error"]["fault"], "cancelled");
  });
  EXPECT_THAT(err_.str(), testing::HasSubstr("icecore: the backup of 'web1' was not begun: interrupted\n"));
}

TEST(BackupBatch, RecordTellsEachDomain) {
  const base::Json record = outcomes_record({fine("a"), failed("b", Fault::denied)});
  EXPECT_EQ(record["exit_code"], 3);
  EXPECT_EQ(record["results"][0]["ok"], true);
  EXPECT_TRUE(record["results"][0].contains("point"));
  EXPECT_EQ(record["results"][1]["error"]["fault"], "denied");
  EXPECT_FALSE(record["results"][1].contains("point"));
}

TEST(BackupBatch, ReportIsOneLine) {
  job::BackupReport report;
  report.manifest.domain_name = "web1";
  report.manifest.id = "3f2a9c1e00112233445566778899aabb";
  report.manifest.consistency = repository::Consistency::filesystem;
  report.manifest.freeze_ms = 41;
  report.manifest.duration_ms = 1200;
  EXPECT_EQ(format_report(report),
            "web1: 3f2a9c1e, filesystem consistent, read 0 B, new 0 B, stored 0 B, guest frozen 41 ms, took 1.2 s");
}

}  // namespace
}  // namespace icecore::cli
