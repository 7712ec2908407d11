// SPDX-License-Identifier: Apache-2.0
#include "job/journal.hpp"

#include <cassert>

#include "base/error.hpp"

namespace icecore::job {

namespace {

constexpr int k_schema_version = 1;
constexpr const char* k_file = "journal.sqlite";

constexpr const char* k_schema = R"(
CREATE TABLE IF NOT EXISTS job(
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, domain_uuid TEXT NOT NULL, domain_name TEXT NOT NULL,
  state TEXT NOT NULL, intent TEXT NOT NULL, plan TEXT NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL,
  error TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS job_created ON job(created);
)";

constexpr const char* k_open = "WHERE state NOT IN ('done','failed')";
constexpr const char* k_columns = "id, kind, domain_uuid, domain_name, state, intent, plan, created, updated, error";

using base::Statement;

JobRecord record_of(const Statement& row) {
  JobRecord job;
  job.id = row.text(0);
  job.kind = parse_kind(row.text(1));
  job.domain_uuid = row.text(2);
  job.domain_name = row.text(3);
  job.state = parse_state(row.text(4));
  if (const std::string intent = row.text(5); !intent.empty()) job.intent = parse_state(intent);
  job.plan = base::parse_json(row.text(6), "the journal's plan of job " + job.id);
  job.created = base::parse_time(row.text(7));
  job.updated = base::parse_time(row.text(8));
  job.error = row.text(9);
  return job;
}

}  // namespace

Journal::Journal(const std::filesystem::path& state_dir)
    : database_(state_dir / k_file, "journal", k_schema_version, k_schema) {}

bool Journal::is_there(const std::filesystem::path& state_dir) { return std::filesystem::exists(state_dir / k_file); }

void Journal::begin(const JobRecord& job) {
  set_durability(Durability::power_loss);
  Statement insert(
      database_, std::string("INSERT INTO job(") + k_columns + ") VALUES(?,?,?,?,?,'',?,?,?,'')",
      {job.id, std::string(to_string(job.kind)), job.domain_uuid, job.domain_name, std::string(to_string(job.state)),
       job.plan.dump(), base::format_time(job.created), base::format_time(base::now())});
  insert.next();
}

void Journal::intend(JobRecord& job, JobState next, Durability durability) {
  assert(may_follow(job.kind, job.state, next));
  set_durability(durability);
  Statement update(database_, "UPDATE job SET intent=?, updated=? WHERE id=?",
                   {std::string(to_string(next)), base::format_time(base::now()), job.id});
  update.next();
  job.intent = next;
}

void Journal::reach(JobRecord& job, JobState state, Durability durability) {
  assert(may_follow(job.kind, job.state, state));
  set_durability(durability);
  Statement update(database_, "UPDATE job SET state=?, intent='', updated=? WHERE id=?",
                   {std::string(to_string(state)), base::format_time(base::now()), job.id});
  update.next();
  job.state = state;
  job.intent.reset();
}

void Journal::update_plan(const JobRecord& job) {
  set_durability(Durability::power_loss);
  Statement update(database_, "UPDATE job SET plan=?, updated=? WHERE id=?",
                   {job.plan.dump(), base::format_time(base::now()), job.id});
  update.next();
}

void Journal::set_error(JobRecord& job, std::string error) {
  job.error = std::move(error);
  Statement update(database_, "UPDATE job SET error=?, updated=? WHERE id=?",
                   {job.error, base::format_time(base::now()), job.id});
  update.next();
}

std::vector<JobRecord> Journal::open_jobs(const std::optional<std::string>& domain_uuid) {
  const std::string open = k_open;
  if (domain_uuid) return query(open + " AND domain_uuid=? ORDER BY created", {*domain_uuid});
  return query(open + " ORDER BY created", {});
}

std::optional<JobRecord> Journal::open_job(const std::string& id) {
  std::vector<JobRecord> found = query(std::string(k_open) + " AND id=?", {id});
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

std::vector<JobRecord> Journal::backups_beginning(const std::string& domain_uuid, const std::string& digits) {
  return query("WHERE id GLOB ? AND domain_uuid=? AND kind='backup'", {digits + "*", domain_uuid});
}

std::vector<JobRecord> Journal::query(const std::string& where_clause, const std::vector<std::string>& arguments) {
  Statement select(database_, std::string("SELECT ") + k_columns + " FROM job " + where_clause, arguments);
  std::vector<JobRecord> jobs;
  while (select.next()) jobs.push_back(record_of(select));
  return jobs;
}

// In WAL mode NORMAL leaves out the fsync at commit and keeps the file consistent
// (https://www.sqlite.org/pragma.html#pragma_synchronous).
void Journal::set_durability(Durability durability) {
  if (durability == durability_) return;
  database_.execute(durability == Durability::power_loss ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
  durability_ = durability;
}

}  // namespace icecore::job
