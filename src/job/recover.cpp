// SPDX-License-Identifier: Apache-2.0
#include "job/recover.hpp"

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "job/bitmap_name.hpp"
#include "job/domain_lock.hpp"
#include "job/forwards.hpp"
#include "job/journal.hpp"
#include "job/recover_bitmaps.hpp"
#include "job/recovery.hpp"
#include "job/stray_overlays.hpp"

namespace icecore::job {

using base::Fault;

namespace {

// One look at all that is to be recovered. `journal`: null only in a dry run, when there is none.
class Search {
 public:
  Search(const RecoverOptions& options, hypervisor::Connection& connection, Journal* journal, Recovery& recovery)
      : options_(options), connection_(connection), journal_(journal), recovery_(recovery) {}

  RecoverReport run() {
    if (options_.domain && connection_.has_domain(*options_.domain))
      asked_uuid_ = connection_.domain(*options_.domain).uuid();
    if (journal_ != nullptr) journalled();
    if (options_.domain && !options_.close) strays(*options_.domain);
    if (options_.domain && options_.merge_layers) end_layers(*options_.domain);
    return std::move(report_);
  }

 private:
  void journalled() {
    const std::vector<JobRecord> open = journal_->open_jobs();
    base::failpoint("recover.listed");
    for (const JobRecord& listed : open) {
      if (!is_asked_for(listed)) continue;
      const bool ours = unless_at_work(listed.domain_uuid, [&] {
        // Whoever had the lock may have ended the job since it was listed.
        if (const auto record = journal_->open_job(listed.id)) report_.jobs.push_back(recovery_.job(*record));
      });
      if (!ours) report_.jobs.push_back(at_work(listed.id, listed.domain_name));
    }
  }

  bool has_strays(hypervisor::Domain& domain) const {
    return !stray_plan(domain, journal_).disks.empty() || !checkpoints_of_ours(domain, k_bitmap_prefix).empty();
  }

  // Only for a domain that was named: an overlay with our name that this journal does not know may belong to an icecore
  // with another state folder, which is the one that knows what to do with it.
  void strays(const std::string& name) {
    if (!connection_.has_domain(name)) return;
    hypervisor::Domain domain = connection_.domain(name);
    if (!has_strays(domain)) return;
    const bool ours = unless_at_work(domain.uuid(), [&] {
      if (!has_strays(domain)) return;
      RecoveredJob job = recovery_.strays(domain, stray_plan(domain, journal_));
      if (!job.actions.empty() || !job.problem.empty()) report_.jobs.push_back(std::move(job));
    });
    if (!ours && report_.jobs.empty()) report_.jobs.push_back(at_work("", domain.name()));
  }

  void end_layers(const std::string& name) {
    hypervisor::Domain domain = connection_.domain(name);
    const bool ours = unless_at_work(domain.uuid(), [&] {
      RecoveredJob job = recovery_.end_layers(domain);
      if (!job.actions.empty() || !job.problem.empty()) report_.jobs.push_back(std::move(job));
    });
    if (!ours && report_.jobs.empty()) report_.jobs.push_back(at_work("", domain.name()));
  }

  // A domain may have another name than when the job began.
  bool is_asked_for(const JobRecord& job) const {
    return !options_.domain || *options_.domain == job.domain_name || *options_.domain == job.domain_uuid ||
           asked_uuid_ == job.domain_uuid;
  }

  // False: somebody is at work on the domain. A dry run asks and holds nothing.
  template <typename Action>
  bool unless_at_work(const std::string& uuid, Action&& action) const {
    std::optional<DomainLock> lock;
    if (options_.dry_run ? DomainLock::is_held(uuid) : !(lock = DomainLock::try_lock(uuid))) return false;
    base::failpoint("recover.begun");
    action();
    return true;
  }

  static RecoveredJob at_work(const std::string& id, const std::string& name) {
    return {.job_id = id, .domain_name = name, .at_work = true, .problem = "another icecore is at work on it"};
  }

  const RecoverOptions& options_;
  hypervisor::Connection& connection_;
  Journal* journal_;
  Recovery& recovery_;
  std::optional<std::string> asked_uuid_;  // of the domain that was named, while it is there
  RecoverReport report_;
};

// A point that waits for its repository keeps no disk: it was sealed, and is merged.
bool keeps_disks(Journal& journal, const std::string& job_id) {
  const std::optional<JobRecord> job = journal.open_job(job_id);
  return job && !(job->kind == JobKind::backup && is_committed(job->state));
}

// What is wrong with the disks then; nothing: they are in order.
std::optional<std::string> recover_earlier(const JobContext& context, hypervisor::Connection& connection,
                                           repository::Repository& repository, const std::string& uuid,
                                           const std::string& name) {
  Journal journal(context.state_dir);
  // Not ours to own: the repository of this job, if it is the one the earlier job wrote to.
  const OpenRepository this_one = [&](const std::string&, const std::string&) {
    return std::shared_ptr<repository::Repository>(&repository, [](auto*) {});
  };
  Recovery recovery(context, connection, &journal, this_one, {});
  std::optional<std::string> left;
  for (const JobRecord& record : journal.open_jobs(uuid)) {
    const RecoveredJob result = recovery.job(record);
    for (const std::string& action : result.actions) context.progress.note(name, "recovered: " + action);
    if (result.problem.empty()) continue;
    context.progress.note(name, (result.finished ? "" : "an earlier job is not finished: ") + result.problem);
    if (keeps_disks(journal, record.id)) left = result.problem;
  }
  return left;
}

}  // namespace

RecoverReport recover(const JobContext& context, const RecoverOptions& options, const OpenRepository& open_repository) {
  hypervisor::Connection connection(context.connect_uri);
  std::optional<Journal> journal;
  if (!options.dry_run || Journal::is_there(context.state_dir)) journal.emplace(context.state_dir);
  Journal* const found = journal ? &*journal : nullptr;
  Recovery recovery(context, connection, found, open_repository, options);
  return Search(options, connection, found, recovery).run();
}

void recover_before_backup(const JobContext& context, hypervisor::Connection& connection,
                           repository::Repository& repository, hypervisor::Domain& domain) {
  recover_earlier(context, connection, repository, domain.uuid(), domain.name());
}

void recover_before_restore(const JobContext& context, hypervisor::Connection& connection,
                            repository::Repository& repository, const std::string& domain_uuid,
                            const std::string& domain_name) {
  const std::optional<std::string> left = recover_earlier(context, connection, repository, domain_uuid, domain_name);
  if (!left) return;
  base::Error error(Fault::conflict,
                    fmt::format("an earlier job of domain '{}' left its disks out of order: {}", domain_name, *left));
  throw error.add_hint(
      fmt::format("icecore recover {0}; where its disks are gone for good, or were put in order by hand, "
                  "`icecore recover {0} --close`",
                  domain_uuid));
}

}  // namespace icecore::job
