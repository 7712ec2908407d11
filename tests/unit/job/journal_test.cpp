// SPDX-License-Identifier: Apache-2.0
#include "job/journal.hpp"

#include <gtest/gtest.h>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/id.hpp"

namespace icecore::job {
namespace {

class JournalTest : public testing::Test {
 protected:
  std::filesystem::path folder_ = std::filesystem::temp_directory_path() / ("icecore-test-" + base::random_id(6));
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static JobRecord make_job(const std::string& domain_uuid = "uuid-1") {
    JobRecord job;
    job.id = base::random_id(16);
    job.domain_uuid = domain_uuid;
    job.domain_name = "web1";
    job.plan = {{"disks", base::Json::array()}};
    job.created = base::now();
    return job;
  }
};

TEST_F(JournalTest, AnotherProcessSeesIntentAndFact) {
  Journal journal(folder_);
  JobRecord job = make_job();
  journal.begin(job);
  journal.intend(job, JobState::frozen);
  {
    const auto open = Journal(folder_).open_jobs();
    ASSERT_EQ(open.size(), 1U);
    EXPECT_EQ(open[0].state, JobState::planned);
    EXPECT_EQ(open[0].intent, JobState::frozen);
    EXPECT_EQ(open[0].plan, job.plan);
  }
  journal.reach(job, JobState::frozen, Durability::process_death);
  const auto open = Journal(folder_).open_jobs();
  EXPECT_EQ(open[0].state, JobState::frozen);
  EXPECT_FALSE(open[0].intent);
}

TEST_F(JournalTest, FinalJobsAreNotOpen) {
  Journal journal(folder_);
  JobRecord job = make_job();
  journal.begin(job);
  journal.set_error(job, "no agent");
  journal.reach(job, JobState::aborting);
  journal.reach(job, JobState::failed);
  EXPECT_TRUE(journal.open_jobs().empty());
}

TEST_F(JournalTest, OpenJobsOfOneDomain) {
  Journal journal(folder_);
  const JobRecord one = make_job("uuid-1");
  const JobRecord two = make_job("uuid-2");
  journal.begin(one);
  journal.begin(two);
  const auto open = journal.open_jobs("uuid-2");
  ASSERT_EQ(open.size(), 1U);
  EXPECT_EQ(open[0].id, two.id);
}

TEST_F(JournalTest, FindsABackupByTheBeginningOfItsId) {
  Journal journal(folder_);
  const JobRecord one = make_job();
  JobRecord merge = make_job();
  merge.kind = JobKind::merge;
  journal.begin(one);
  journal.begin(merge);
  const auto found = journal.backups_beginning(one.domain_uuid, one.id.substr(0, 8));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].id, one.id);
  EXPECT_TRUE(journal.backups_beginning("uuid-2", one.id.substr(0, 8)).empty());
  EXPECT_TRUE(journal.backups_beginning(merge.domain_uuid, merge.id.substr(0, 8)).empty());
}

TEST_F(JournalTest, TruncatedAtEveryPageItIsRefusedOrReadNeverGuessed) {
  JobRecord job = make_job();
  { Journal(folder_).begin(job); }
  const auto path = folder_ / "journal.sqlite";
  const base::Bytes whole = base::read_file(path);
  for (std::size_t size = 0; size < whole.size(); size += 512) {
    std::filesystem::remove(path.string() + "-wal");
    std::filesystem::remove(path.string() + "-shm");
    base::write_durably(path, base::ByteView(whole).first(size));
    try {
      Journal journal(folder_);
      for (const JobRecord& found : journal.open_jobs()) EXPECT_EQ(found.id, job.id);
    } catch (const base::Error& error) {
      EXPECT_NE(std::string(error.what()).find("journal"), std::string::npos) << error.what();
    }
  }
}

TEST(State, EveryNameParsesBack) {
  for (int i = 0; i <= static_cast<int>(JobState::failed); ++i) {
    const auto state = static_cast<JobState>(i);
    EXPECT_EQ(parse_state(to_string(state)), state);
  }
  EXPECT_THROW(parse_state("sleeping"), base::Error);
}

TEST(State, FromSealedOnlyForwards) {
  for (const JobState state :
       {JobState::sealed, JobState::committing, JobState::committed, JobState::uploading, JobState::published}) {
    EXPECT_FALSE(may_follow(JobKind::backup, state, JobState::aborting)) << to_string(state);
    EXPECT_FALSE(may_follow(JobKind::backup, state, JobState::failed)) << to_string(state);
  }
  EXPECT_TRUE(may_follow(JobKind::backup, JobState::reading, JobState::aborting));
  EXPECT_FALSE(may_follow(JobKind::backup, JobState::thawed, JobState::sealed));
  EXPECT_FALSE(may_follow(JobKind::restore, JobState::planned, JobState::frozen));
  EXPECT_TRUE(may_follow(JobKind::merge, JobState::planned, JobState::committing));
  EXPECT_FALSE(may_follow(JobKind::merge, JobState::committing, JobState::aborting));
}

TEST(State, EveryKindParsesBack) {
  for (const JobKind kind : {JobKind::backup, JobKind::restore, JobKind::merge})
    EXPECT_EQ(parse_kind(to_string(kind)), kind);
  EXPECT_THROW(parse_kind("copy"), base::Error);
}

}  // namespace
}  // namespace icecore::job
