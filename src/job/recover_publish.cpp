// SPDX-License-Identifier: Apache-2.0
#include "job/recover_publish.hpp"

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/id.hpp"
#include "base/shell_word.hpp"
#include "job/forwards.hpp"
#include "repository/group.hpp"
#include "repository/publish_check.hpp"
#include "repository/repository_lock.hpp"
#include "staging/spooled_storage.hpp"

namespace icecore::job {

using base::Fault;

namespace {

// Whether this is the repository the plan's blocks went to, by way of the same staging.
bool is_repository_of(const BackupPlan& plan, repository::Repository& repository) {
  staging::SpooledStorage* const spooled = staging::spooled(repository.storage());
  const std::string staging = spooled == nullptr ? "" : spooled->spool().folder().parent_path().string();
  return repository.config().repository_id == plan.repository_id && (plan.staging.empty() || plan.staging == staging);
}

// A remote that does not answer cannot be asked for the trees of what did not change: whoever uploads the point looks
// its blocks up. False: nothing is staged.
bool leave_to_upload(repository::Repository& repository, const repository::Manifest& manifest) {
  staging::SpooledStorage* const spooled = staging::spooled(repository.storage());
  if (spooled == nullptr) return false;
  const std::string object = repository::publish_unlooked(repository, manifest);
  spooled->spool().queue().stop_relying(object);
  return true;
}

// Empty: it is published, or left to an upload. Else why it never can be: its blocks are gone.
std::string publish_in(repository::Repository& repository, const JobRecord& record, const BackupPlan& plan) {
  const auto manifest = repository::decode_manifest(base::from_hex(plan.manifest), "the manifest in the journal");
  std::optional<repository::RepositoryLock> lock;  // a staged one's upload takes its own
  if (staging::spooled(repository.storage()) == nullptr)
    lock.emplace(repository, repository::LockMode::shared, "recovery of '" + record.domain_name + "'");
  try {
    repository::publish(repository, manifest);
    if (lock) repository::complete_group(repository.keys(), repository.storage(), manifest);
    base::failpoint("recover.published");
    return "";
  } catch (const base::Error& error) {
    if (error.fault() == Fault::unavailable && leave_to_upload(repository, manifest)) return "";
    // Whatever else is in conflict, such as a changed host key, may be cured: then the point is published after all.
    if (error.fault() != Fault::conflict || repository::look_blocks_up(repository, manifest) == 0) throw;
    return error.what();
  }
}

// Null: it cannot be opened, or another one is there.
std::shared_ptr<repository::Repository> open(const OpenRepository& open_repository, const BackupPlan& plan) {
  std::shared_ptr<repository::Repository> repository = open_repository(plan.repository_url, plan.staging);
  return repository && is_repository_of(plan, *repository) ? repository : nullptr;
}

// It has nothing left to put back.
void end_without_point(Journal& journal, JobRecord& record, const std::string& reason, RecoveredJob& result) {
  result.problem = fmt::format("restore point {} cannot be published: {}; try: run the backup again",
                               base::short_id(record.id), reason);
  journal.set_error(record, result.problem);
  advance(journal, record, JobState::done);
  result.finished = true;
}

}  // namespace

bool is_published(JobState state) noexcept { return state == JobState::published || state == JobState::done; }

std::string describe_publication(const JobRecord& record) {
  return "publish restore point " + base::short_id(record.id);
}

void publish_sealed(Journal& journal, const OpenRepository& open_repository, JobRecord& record, const BackupPlan& plan,
                    RecoveredJob& result) {
  if (record.state == JobState::sealed || record.state == JobState::committing)
    advance(journal, record, JobState::committed);
  if (!is_published(record.state) && !plan.published) {
    const std::shared_ptr<repository::Repository> repository = open(open_repository, plan);
    if (!repository) {
      result.problem = fmt::format(
          "restore point {} waits to be published in '{}', which could not be opened; try: icecore "
          "recover, with its key (--key-file FILE)",
          base::short_id(record.id), plan.repository_url);
      return;
    }
    if (const std::string reason = publish_in(*repository, record, plan); !reason.empty())
      return end_without_point(journal, record, reason, result);
    const bool staged = staging::spooled(repository->storage()) != nullptr;
    result.actions.push_back(describe_publication(record) + (staged ? " by its upload from staging" : ""));
    // From here on it is the spool's queue that remembers it.
    if (staged && record.state == JobState::committed) journal.reach(record, JobState::uploading);
    if (staged) journal.reach(record, JobState::done);
  }
  advance(journal, record, JobState::done);
  result.finished = true;
}

void publish_unsettled(Journal& journal, const OpenRepository& open_repository, JobRecord& record, BackupPlan& plan,
                       RecoveredJob& result) {
  if (plan.published) return;
  const std::shared_ptr<repository::Repository> repository = open(open_repository, plan);
  if (!repository || !publish_in(*repository, record, plan).empty()) return;
  result.actions.push_back(describe_publication(record));
  plan.published = true;
  record.plan = to_json(plan);
  journal.update_plan(record);
}

}  // namespace icecore::job
