// SPDX-License-Identifier: Apache-2.0
// The journal of all jobs of this host: <state-dir>/journal.sqlite. Each step is written twice, before
// (intent) and after (fact), so that after kill -9 or power loss recover knows what may have happened.
//
// Threads: one Journal object belongs to one thread. Several processes may share the file: SQLite locks it,
// and no transaction of ours lasts longer than one write.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "base/sqlite.hpp"
#include "job/state.hpp"

namespace icecore::job {

struct JobRecord {
  std::string id;  // 32 hex digits; also the id of the restore point a backup publishes
  JobKind kind = JobKind::backup;
  std::string domain_uuid;
  std::string domain_name;
  JobState state = JobState::planned;
  std::optional<JobState> intent;  // the step begun last, if it is not known to have ended
  base::Json plan;                 // every name the job made or will make
  base::Timestamp created;
  base::Timestamp updated;
  std::string error;  // why it failed, for people
};

// What a write must survive. Inside the freeze window we wait for no disk: facts of those milliseconds
// matter only if the process dies, because power loss ends the guest as well.
enum class Durability { process_death, power_loss };

class Journal {
 public:
  // Creates the file when missing. Fault::denied, unavailable; a newer schema is Fault::usage.
  explicit Journal(const std::filesystem::path& state_dir);

  // Whether there is one: for who only looks, and makes none.
  static bool is_there(const std::filesystem::path& state_dir);

  // Writes a new job in state `planned`.
  void begin(const JobRecord& job);

  // "About to do what leads to `next`."
  void intend(JobRecord& job, JobState next, Durability durability = Durability::power_loss);

  // "Done: the job is in `state` now." A step the table does not allow is a bug and asserts.
  void reach(JobRecord& job, JobState state, Durability durability = Durability::power_loss);

  // Stores job.plan again, when the job learnt something it must not forget.
  void update_plan(const JobRecord& job);

  // Stores why the job failed or what keeps it from ending.
  void set_error(JobRecord& job, std::string error);

  // Jobs that are neither done nor failed, oldest first; of one domain when given.
  std::vector<JobRecord> open_jobs(const std::optional<std::string>& domain_uuid = std::nullopt);

  // The backups of the domain, in whatever state, whose ids begin with these hex digits: one, but for an accident.
  std::vector<JobRecord> backups_beginning(const std::string& domain_uuid, const std::string& digits);

  // The job as it is now; nothing when it is done, failed or unknown.
  std::optional<JobRecord> open_job(const std::string& id);

 private:
  void set_durability(Durability durability);
  std::vector<JobRecord> query(const std::string& where_clause, const std::vector<std::string>& arguments);

  base::Database database_;
  Durability durability_ = Durability::power_loss;
};

}  // namespace icecore::job
