// SPDX-License-Identifier: Apache-2.0
#include "job/recover.hpp"

#include <filesystem>
#include <set>

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/id.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/freeze.hpp"
#include "job/bitmap_name.hpp"
#include "job/domain_lock.hpp"
#include "job/forwards.hpp"
#include "job/journal.hpp"
#include "job/layer_end.hpp"
#include "job/layer_settle.hpp"
#include "job/overlay_return.hpp"
#include "job/recover_bitmaps.hpp"
#include "job/recover_publish.hpp"
#include "job/restore_finish.hpp"
#include "job/restore_memory.hpp"
#include "job/stray_overlays.hpp"

namespace icecore::job {

using base::Fault;

namespace {

class Recovery {
 public:
  // `journal` may be null when job() is not called.
  Recovery(const JobContext& context, hypervisor::Connection& connection, Journal* journal,
           const OpenRepository& open_repository, bool dry_run)
      : context_(context),
        connection_(connection),
        journal_(journal),
        open_repository_(open_repository),
        dry_run_(dry_run) {}

  // The caller holds the domain's lock. What goes wrong is written into the result, not thrown, but for a stop.
  RecoveredJob job(JobRecord record) {
    RecoveredJob result{.job_id = record.id, .domain_name = record.domain_name};
    guarded(result, [&] {
      require_same_libvirt(record);
      if (record.kind == JobKind::restore) return restore(record, result);
      if (record.kind == JobKind::merge) return merge_layers(record, result);
      backup(record, result);
    });
    return result;
  }

  // Overlays and checkpoints that carry our names but no journal knows (a lost state folder): the XML tells base and
  // overlay.
  RecoveredJob strays(hypervisor::Domain& domain, BackupPlan plan) {
    RecoveredJob result{.domain_name = domain.name()};
    guarded(result, [&] {
      merge(domain.uuid(), plan, {}, result);
      tell(forget_checkpoints(domain, k_bitmap_prefix, dry_run_), result);
      result.finished = true;
    });
    return result;
  }

  // The caller holds the domain's lock.
  RecoveredJob end_layers(hypervisor::Domain& domain) {
    RecoveredJob result{.domain_name = domain.name(), .of_layers = true};
    guarded(result, [&] {
      std::vector<std::string> targets;
      for (const LayeredDisk& disk : layered_disks(domain.model())) {
        if (dry_run_) tell_merge(disk.layer, disk.home.path, result);
        if (!disk.obstacle.empty()) result.problem = fmt::format("disk '{}': {}", disk.target, disk.obstacle);
        targets.push_back(disk.target);
      }
      if (!dry_run_ && !targets.empty()) result.actions = job::end_layers(context_, domain, targets);
      result.finished = result.problem.empty();
    });
    return result;
  }

 private:
  // Another libvirt does not know the domain: it would pass for one that is gone, and its overlays be merged under it.
  void require_same_libvirt(const JobRecord& record) const {
    const std::string uri = record.plan.value("connect_uri", "");
    if (uri.empty() || uri == connection_.uri()) return;
    base::Error error(Fault::conflict,
                      fmt::format("its domain is in the libvirt at '{}', and this is '{}'", uri, connection_.uri()));
    throw error.add_hint("icecore recover --connect " + base::shell_word(uri));
  }

  template <typename Action>
  void guarded(RecoveredJob& result, Action&& action) {
    try {
      action();
    } catch (const base::Error& error) {
      if (error.fault() == Fault::cancelled) throw;
      result.problem = error.what();
      if (!error.hint().empty()) result.problem += "; try: " + error.hint();
    } catch (const std::filesystem::filesystem_error& error) {
      result.problem = error.what();  // one job's lost file system must not keep the others open
    }
  }

  void backup(JobRecord& record, RecoveredJob& result) {
    BackupPlan plan = parse_backup_plan(record.plan, record.id);
    if (plan.freezes && !is_sealed(record.state) && record.state != JobState::reading) thaw(record.domain_uuid, result);
    if (!is_committed(record.state)) go_back(record, plan, result);
    tidy_bitmaps(record, plan, result);
    if (is_sealed(record.state)) return publish(record, plan, result);
    result.actions.push_back("forget the unfinished backup");
    if (!dry_run_) {
      if (record.state != JobState::aborting) journal_->reach(record, JobState::aborting);
      journal_->reach(record, JobState::failed);
    }
    result.finished = true;
  }

  void go_back(JobRecord& record, BackupPlan& plan, RecoveredJob& result) {
    if (is_sealed(record.state)) return settle(record, plan, result);
    merge(record.domain_uuid, plan, store_in(record), result);
  }

  StorePlan store_in(JobRecord& record) {
    return [this, &record](const BackupPlan& learnt) {
      record.plan = to_json(learnt);
      journal_->update_plan(record);
    };
  }

  // Of an older point, too: it may have been about to lose its bitmap. Nobody else makes one under the domain's lock.
  void tidy_bitmaps(const JobRecord& record, const BackupPlan& plan, RecoveredJob& result) {
    if (!connection_.has_domain(record.domain_uuid)) return;
    hypervisor::Domain domain = connection_.domain(record.domain_uuid);
    tell(forget_checkpoints(domain, k_bitmap_prefix, dry_run_), result);
    if (!is_sealed(record.state)) tell(give_bitmaps_up(domain, plan, dry_run_), result);
  }

  // Each thing once: in a dry run it is still there for the next look.
  void tell(std::vector<std::string> actions, RecoveredJob& result) {
    for (std::string& action : actions) {
      if (told_.insert(action).second) result.actions.push_back(std::move(action));
    }
  }

  void thaw(const std::string& uuid, RecoveredJob& result) {
    if (!connection_.has_domain(uuid)) return;
    hypervisor::Domain domain = connection_.domain(uuid);
    if (domain.state() != hypervisor::DomainState::running) return;
    result.actions.push_back("thaw the guest");
    if (dry_run_) return;
    // An agent that does not obey must not keep the disks on their overlays.
    try {
      hypervisor::thaw_guest(domain);
    } catch (const base::Error& error) {
      result.actions.back() = fmt::format("the guest could not be asked to thaw: {}", error.what());
    }
  }

  // The end of kept layers, which was cut short.
  void merge_layers(JobRecord& record, RecoveredJob& result) {
    if (!is_committed(record.state)) {
      BackupPlan plan = parse_backup_plan(record.plan, record.id);
      merge(record.domain_uuid, plan, store_in(record), result);
    }
    if (!dry_run_) {
      if (record.state == JobState::planned) journal_->reach(record, JobState::committing);
      advance(*journal_, record, JobState::committed);
      journal_->reach(record, JobState::done);
    }
    result.finished = true;
  }

  // What follows `sealed`: an overlay that is kept stays, and the layer below it goes.
  void settle(JobRecord& record, BackupPlan& plan, RecoveredJob& result) {
    if (dry_run_) {
      for (const PlannedDisk& disk : plan.disks) {
        const auto& [from, to] = disk.keeps_overlay ? std::pair(disk.base_path, disk.home.path)
                                                    : std::pair(disk.overlay_path, disk.base_path);
        if (!to.empty()) tell_merge(from, to, result);
      }
      return;
    }
    const StorePlan store = store_in(record);
    for (const ReturnedDisk& disk :
         settle_overlays(connection_, record.domain_uuid, plan, store, context_.progress, context_.stop))
      result.actions.push_back(fmt::format("disk '{}' {}", disk.target, disk.action));
    base::failpoint("recover.merged");
  }

  void tell_merge(const std::filesystem::path& from, const std::filesystem::path& to, RecoveredJob& result) {
    if (!std::filesystem::exists(from) || !told_.insert(from.string()).second) return;
    result.actions.push_back(fmt::format("merge '{}' into '{}'", from.string(), to.string()));
  }

  void merge(const std::string& uuid, BackupPlan& plan, const StorePlan& store, RecoveredJob& result) {
    if (dry_run_) {
      for (const PlannedDisk& disk : plan.disks) {
        if (disk.merge != MergeState::left) tell_merge(disk.overlay_path, disk.base_path, result);
      }
      if (std::filesystem::exists(plan.memory_file))
        result.actions.push_back(fmt::format("remove '{}'", plan.memory_file.string()));
      return;
    }
    for (const ReturnedDisk& disk : return_to_bases(connection_, uuid, plan, store, context_.progress, context_.stop)) {
      result.actions.push_back(fmt::format("disk '{}' {}", disk.target, disk.action));
    }
    base::failpoint("recover.merged");
  }

  void publish(JobRecord& record, const BackupPlan& plan, RecoveredJob& result) {
    if (!dry_run_) return publish_sealed(*journal_, open_repository_, record, plan, result);
    if (!is_published(record.state)) result.actions.push_back(describe_publication(record));
  }

  void restore(JobRecord& record, RecoveredJob& result) {
    const RestorePlan plan = parse_restore_plan(record.plan, record.id);
    // One that was being undone has lost some of its files already.
    const bool given_up = record.intent == JobState::aborting;
    const bool complete = !given_up && (record.state == JobState::written || record.state == JobState::defined);
    // One that had not begun to replace is not finished behind the user's back: the old domain may be in use again.
    const bool untouched = record.state == JobState::written && plan.replace && !any_named(plan);
    if (complete && !untouched) return finish_restore(record, plan, result);
    result.actions.push_back("remove the unfinished restore's files");
    for (const PlannedFile& file : plan.files) {
      if (!file.begun) continue;
      result.actions.push_back(fmt::format(
          "device '{}' was being written over and holds neither its old content nor disk '{}': restore onto "
          "it again",
          file.path.string(), file.target));
    }
    if (given_up && record.state == JobState::written) tell_files_in_place(plan, result);
    if (!dry_run_) {
      remove_files(plan, false);
      if (record.state != JobState::aborting) journal_->reach(record, JobState::aborting);
      journal_->reach(record, JobState::failed);
    }
    result.finished = true;
  }

  // Whether they are the restore's nobody can tell any more, so they stay.
  static void tell_files_in_place(const RestorePlan& plan, RecoveredJob& result) {
    for (const PlannedFile& file : plan.files) {
      if (file.device || file.replaces || !std::filesystem::exists(file.path)) continue;
      result.actions.push_back(fmt::format("leave '{}': it may be the restore's", file.path.string()));
    }
  }

  void finish_restore(JobRecord& record, const RestorePlan& plan, RecoveredJob& result) {
    result.actions.push_back(plan.domain_name.empty() ? "name the restored files"
                                                      : "define domain '" + plan.domain_name + "'");
    if (!plan.memory_file.empty())
      result.actions.push_back("drop its memory: unless it runs, it boots from its disks, or is restored again");
    if (!dry_run_) {
      // A domain that was resumed already is at work on its disks.
      if (record.state != JobState::defined) {
        name_files(&connection_, plan);
        define_domain(connection_, plan);
      }
      refresh_pools(&connection_, plan);
      remove_memory_file(plan);
      journal_->reach(record, JobState::done);
    }
    result.finished = true;
  }

  const JobContext& context_;
  hypervisor::Connection& connection_;
  Journal* journal_;
  const OpenRepository& open_repository_;
  bool dry_run_;
  std::set<std::string> told_;  // overlays a dry run has named, and what was told of checkpoints
};

bool has_strays(hypervisor::Domain& domain) {
  return !stray_plan(domain).disks.empty() || !checkpoints_of_ours(domain, k_bitmap_prefix).empty();
}

// One look at all that is to be recovered. `journal`: null only in a dry run, when there is none.
class Search {
 public:
  Search(const RecoverOptions& options, hypervisor::Connection& connection, Journal* journal, Recovery& recovery)
      : options_(options), connection_(connection), journal_(journal), recovery_(recovery) {}

  RecoverReport run() {
    if (journal_ != nullptr) journalled();
    if (options_.domain) strays(*options_.domain);
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

  // Only for a domain that was named: an overlay with our name that this journal does not know may belong to an icecore
  // with another state folder, which is the one that knows what to do with it.
  void strays(const std::string& name) {
    if (!connection_.has_domain(name)) return;
    hypervisor::Domain domain = connection_.domain(name);
    if (!has_strays(domain)) return;
    const bool ours = unless_at_work(domain.uuid(), [&] {
      if (!has_strays(domain)) return;
      RecoveredJob job = recovery_.strays(domain, stray_plan(domain));
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

  bool is_asked_for(const JobRecord& job) const {
    return !options_.domain || *options_.domain == job.domain_name || *options_.domain == job.domain_uuid;
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
  RecoverReport report_;
};

}  // namespace

RecoverReport recover(const JobContext& context, const RecoverOptions& options, const OpenRepository& open_repository) {
  hypervisor::Connection connection(context.connect_uri);
  std::optional<Journal> journal;
  if (!options.dry_run || Journal::is_there(context.state_dir)) journal.emplace(context.state_dir);
  Journal* const found = journal ? &*journal : nullptr;
  Recovery recovery(context, connection, found, open_repository, options.dry_run);
  return Search(options, connection, found, recovery).run();
}

void recover_before_backup(const JobContext& context, hypervisor::Connection& connection,
                           repository::Repository& repository, hypervisor::Domain& domain) {
  Journal journal(context.state_dir);
  // Not ours to own: the repository of this backup, if it is the one the earlier job wrote to.
  const OpenRepository this_one = [&](const std::string&, const std::string&) {
    return std::shared_ptr<repository::Repository>(&repository, [](auto*) {});
  };
  Recovery recovery(context, connection, &journal, this_one, false);
  for (const JobRecord& record : journal.open_jobs(domain.uuid())) {
    const RecoveredJob result = recovery.job(record);
    for (const std::string& action : result.actions) context.progress.note(domain.name(), "recovered: " + action);
    if (result.problem.empty()) continue;
    context.progress.note(domain.name(), (result.finished ? "" : "an earlier job is not finished: ") + result.problem);
  }
}

}  // namespace icecore::job
