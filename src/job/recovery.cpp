// SPDX-License-Identifier: Apache-2.0
#include "job/recovery.hpp"

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/id.hpp"
#include "base/log.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/freeze.hpp"
#include "job/base_use.hpp"
#include "job/bitmap_name.hpp"
#include "job/forwards.hpp"
#include "job/layer_end.hpp"
#include "job/layer_settle.hpp"
#include "job/recover_bitmaps.hpp"
#include "job/recover_publish.hpp"
#include "job/restore_finish.hpp"
#include "job/restore_memory.hpp"

namespace icecore::job {

using base::Fault;

template <typename Action>
void Recovery::guarded(RecoveredJob& result, Action&& action) {
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

RecoveredJob Recovery::job(JobRecord record) {
  RecoveredJob result{.job_id = record.id, .domain_name = record.domain_name};
  guarded(result, [&] {
    require_same_libvirt(record);
    if (record.kind == JobKind::restore) return restore(record, result);
    if (record.kind == JobKind::merge) return merge_layers(record, result);
    backup(record, result);
  });
  return result;
}

RecoveredJob Recovery::strays(hypervisor::Domain& domain, BackupPlan plan) {
  RecoveredJob result{.domain_name = domain.name()};
  guarded(result, [&] {
    merge(domain.uuid(), plan, {}, result);
    tell(forget_checkpoints(domain, k_bitmap_prefix, dry_run_), result);
    result.finished = true;
  });
  return result;
}

RecoveredJob Recovery::end_layers(hypervisor::Domain& domain) {
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

// Another libvirt does not know the domain: it would pass for one that is gone, and its overlays be merged under it.
void Recovery::require_same_libvirt(const JobRecord& record) const {
  const std::string uri = record.plan.value("connect_uri", "");
  if (uri.empty() || uri == connection_.uri()) return;
  base::Error error(Fault::conflict,
                    fmt::format("its domain is in the libvirt at '{}', and this is '{}'", uri, connection_.uri()));
  throw error.add_hint("icecore recover --connect " + base::shell_word(uri));
}

void Recovery::backup(JobRecord& record, RecoveredJob& result) {
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

// A point that is complete is published, wherever the disks are: it may be all that is left of them.
void Recovery::go_back(JobRecord& record, BackupPlan& plan, RecoveredJob& result) {
  if (close_) return leave(record, plan, result);
  if (!is_sealed(record.state)) return merge(record.domain_uuid, plan, store_in(record), result);
  try {
    settle(record, plan, result);
  } catch (const std::exception&) {
    if (!context_.stop.stop_requested()) publish_unsettled(record, plan, result);
    throw;
  }
}

void Recovery::publish_unsettled(JobRecord& record, BackupPlan& plan, RecoveredJob& result) noexcept {
  try {
    job::publish_unsettled(*journal_, open_repository_, record, plan, result);
  } catch (const std::exception& error) {
    result.actions.push_back(fmt::format("{} was tried: {}", describe_publication(record), error.what()));
  }
}

// A person has put the disks in order. What a domain is on is not left, for it has been merged by nobody; nor is what
// libvirt may still be at, which would put the domain there later.
void Recovery::leave(const JobRecord& record, const BackupPlan& plan, RecoveredJob& result) {
  if (!dry_run_) end_capture(connection_, record.domain_uuid, plan);
  for (const PlannedDisk& disk : plan.disks) {
    const bool is_kept = disk.keeps_overlay && is_sealed(record.state);
    if (is_kept || !std::filesystem::exists(disk.overlay_path)) continue;
    require_image_unused(connection_, disk.overlay_path, record.domain_uuid);
    result.actions.push_back(fmt::format("leave '{}' as it is, unmerged", disk.overlay_path.string()));
  }
  if (std::filesystem::exists(plan.memory_file))
    result.actions.push_back(fmt::format("remove '{}'", plan.memory_file.string()));
  if (!dry_run_) remove_memory(plan);
}

// Only where nothing else tells must the journal be told: its file system may be full, and the merge make room.
StorePlan Recovery::store_in(JobRecord& record) {
  return [this, &record](const BackupPlan& learnt) {
    record.plan = to_json(learnt);
    try {
      journal_->update_plan(record);
    } catch (const base::Error& error) {
      if (learnt.transient && !all_merged(learnt)) throw;
      base::log_warning("the journal was not told of a merge: {}", error.what());
    }
  };
}

// Of an older point, too: it may have been about to lose its bitmap. Nobody else makes one under the domain's lock.
void Recovery::tidy_bitmaps(const JobRecord& record, const BackupPlan& plan, RecoveredJob& result) {
  if (!connection_.has_domain(record.domain_uuid)) return;
  hypervisor::Domain domain = connection_.domain(record.domain_uuid);
  tell(forget_checkpoints(domain, k_bitmap_prefix, dry_run_), result);
  if (!is_sealed(record.state)) tell(give_bitmaps_up(domain, plan, dry_run_), result);
}

// Each thing once: in a dry run it is still there for the next look.
void Recovery::tell(std::vector<std::string> actions, RecoveredJob& result) {
  for (std::string& action : actions) {
    if (told_.insert(action).second) result.actions.push_back(std::move(action));
  }
}

void Recovery::thaw(const std::string& uuid, RecoveredJob& result) {
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
void Recovery::merge_layers(JobRecord& record, RecoveredJob& result) {
  if (!is_committed(record.state)) {
    BackupPlan plan = parse_backup_plan(record.plan, record.id);
    close_ ? leave(record, plan, result) : merge(record.domain_uuid, plan, store_in(record), result);
  }
  if (!dry_run_) {
    if (record.state == JobState::planned) journal_->reach(record, JobState::committing);
    advance(*journal_, record, JobState::committed);
    journal_->reach(record, JobState::done);
  }
  result.finished = true;
}

// What follows `sealed`: an overlay that is kept stays, and the layer below it goes.
void Recovery::settle(JobRecord& record, BackupPlan& plan, RecoveredJob& result) {
  if (dry_run_) {
    for (const PlannedDisk& disk : plan.disks) {
      const auto& [from, to] =
          disk.keeps_overlay ? std::pair(disk.base_path, disk.home.path) : std::pair(disk.overlay_path, disk.base_path);
      if (!to.empty() && disk.merge != MergeState::left) tell_merge(from, to, result);
    }
    return;
  }
  const StorePlan store = store_in(record);
  for (const ReturnedDisk& disk :
       settle_overlays(connection_, record.domain_uuid, plan, store, context_.progress, context_.stop))
    result.actions.push_back(fmt::format("disk '{}' {}", disk.target, disk.action));
  base::failpoint("recover.merged");
}

void Recovery::tell_merge(const std::filesystem::path& from, const std::filesystem::path& to, RecoveredJob& result) {
  if (!std::filesystem::exists(from) || !told_.insert(from.string()).second) return;
  result.actions.push_back(fmt::format("merge '{}' into '{}'", from.string(), to.string()));
}

void Recovery::merge(const std::string& uuid, BackupPlan& plan, const StorePlan& store, RecoveredJob& result) {
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

void Recovery::publish(JobRecord& record, const BackupPlan& plan, RecoveredJob& result) {
  if (!dry_run_) return publish_sealed(*journal_, open_repository_, record, plan, result);
  if (!is_published(record.state) && !plan.published) result.actions.push_back(describe_publication(record));
}

void Recovery::restore(JobRecord& record, RecoveredJob& result) {
  const RestorePlan plan = parse_restore_plan(record.plan, record.id);
  // One that was being undone has lost some of its files already.
  const bool given_up = record.intent == JobState::aborting;
  const bool complete = !given_up && (record.state == JobState::written || record.state == JobState::defined);
  // One that had not begun to replace is not finished behind the user's back: the old domain may be in use again.
  const bool untouched = record.state == JobState::written && plan.replace && !any_named(plan);
  if (complete && !untouched && !is_left_as_it_is(record, plan, result)) return finish_restore(record, plan, result);
  result.actions.push_back("remove the unfinished restore's files");
  for (const PlannedFile& file : plan.files) {
    if (file.begun) result.actions.push_back(tell_device(file));
  }
  if (given_up && record.state == JobState::written) tell_files_in_place(plan, result);
  if (!dry_run_) {
    remove_files(plan, false);
    if (record.state != JobState::aborting) journal_->reach(record, JobState::aborting);
    journal_->reach(record, JobState::failed);
  }
  result.finished = true;
}

// A person has put the domain in order, or works with it as it is: then the restore is the older of the two. One whose
// domain is defined has nothing to do any more that would hurt.
bool Recovery::is_left_as_it_is(const JobRecord& record, const RestorePlan& plan, RecoveredJob& result) const {
  if (record.state == JobState::defined) return false;
  const std::string reason = close_ ? "as was asked for" : why_superseded(connection_, plan);
  if (reason.empty()) return false;
  result.actions.push_back(fmt::format("leave domain '{}' and its disks as they are: {}", record.domain_name, reason));
  return true;
}

// Whether they are the restore's nobody can tell any more, so they stay.
void Recovery::tell_files_in_place(const RestorePlan& plan, RecoveredJob& result) {
  for (const PlannedFile& file : plan.files) {
    if (file.device || file.replaces || !std::filesystem::exists(file.path)) continue;
    result.actions.push_back(fmt::format("leave '{}': it may be the restore's", file.path.string()));
  }
}

void Recovery::finish_restore(JobRecord& record, const RestorePlan& plan, RecoveredJob& result) {
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

}  // namespace icecore::job
