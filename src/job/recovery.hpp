// SPDX-License-Identifier: Apache-2.0
// What recover does about one job, one domain's overlays that no journal knows, or one domain's kept layers.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "hypervisor/connection.hpp"
#include "job/backup_plan.hpp"
#include "job/journal.hpp"
#include "job/overlay_return.hpp"
#include "job/recover.hpp"
#include "job/restore_plan.hpp"

namespace icecore::job {

// One look at all that is to be recovered: what is told of several times is told once. One thread at a time; what is
// referred to outlives it.
class Recovery {
 public:
  // `journal` may be null when job() is not called.
  Recovery(const JobContext& context, hypervisor::Connection& connection, Journal* journal,
           const OpenRepository& open_repository, const RecoverOptions& options)
      : context_(context),
        connection_(connection),
        journal_(journal),
        open_repository_(open_repository),
        dry_run_(options.dry_run),
        close_(options.close) {}

  // The caller holds the domain's lock. What goes wrong is written into the result, not thrown, but for a stop.
  RecoveredJob job(JobRecord record);

  // Overlays and checkpoints that carry our names but no journal knows (a lost state folder): the XML tells base and
  // overlay.
  RecoveredJob strays(hypervisor::Domain& domain, BackupPlan plan);

  // The caller holds the domain's lock.
  RecoveredJob end_layers(hypervisor::Domain& domain);

 private:
  void require_same_libvirt(const JobRecord& record) const;
  template <typename Action>
  void guarded(RecoveredJob& result, Action&& action);
  void backup(JobRecord& record, RecoveredJob& result);
  void go_back(JobRecord& record, BackupPlan& plan, RecoveredJob& result);
  void publish_unsettled(JobRecord& record, BackupPlan& plan, RecoveredJob& result) noexcept;
  void leave(const JobRecord& record, const BackupPlan& plan, RecoveredJob& result);
  StorePlan store_in(JobRecord& record);
  void tidy_bitmaps(const JobRecord& record, const BackupPlan& plan, RecoveredJob& result);
  void tell(std::vector<std::string> actions, RecoveredJob& result);
  void thaw(const std::string& uuid, RecoveredJob& result);
  void merge_layers(JobRecord& record, RecoveredJob& result);
  void settle(JobRecord& record, BackupPlan& plan, RecoveredJob& result);
  void tell_merge(const std::filesystem::path& from, const std::filesystem::path& to, RecoveredJob& result);
  void merge(const std::string& uuid, BackupPlan& plan, const StorePlan& store, RecoveredJob& result);
  void publish(JobRecord& record, const BackupPlan& plan, RecoveredJob& result);
  void restore(JobRecord& record, RecoveredJob& result);
  bool is_left_as_it_is(const JobRecord& record, const RestorePlan& plan, RecoveredJob& result) const;
  static void tell_files_in_place(const RestorePlan& plan, RecoveredJob& result);
  void finish_restore(JobRecord& record, const RestorePlan& plan, RecoveredJob& result);

  const JobContext& context_;
  hypervisor::Connection& connection_;
  Journal* journal_;
  const OpenRepository& open_repository_;
  bool dry_run_;
  bool close_;
  std::set<std::string> told_;  // overlays a dry run has named, and what was told of checkpoints
};

}  // namespace icecore::job
