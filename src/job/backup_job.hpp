// SPDX-License-Identifier: Apache-2.0
// One domain's backup, phase by phase: for run_backup(), which takes one after the other, and for a group, whose
// members' phases go side by side.
#pragma once

#include <optional>
#include <string>

#include "flow/ahead.hpp"
#include "hypervisor/domain.hpp"
#include "job/backup.hpp"
#include "job/backup_manifest.hpp"
#include "job/disk_bitmaps.hpp"
#include "job/frozen_reading.hpp"
#include "job/held_lock.hpp"
#include "job/job_notes.hpp"
#include "job/job_steps.hpp"
#include "job/overlay_return.hpp"
#include "job/prepare_backup.hpp"
#include "staging/spooled_storage.hpp"

namespace icecore::job {

// The phases in their order: plan(), take_instant(), store(), merge(), finish(). When take_instant() or store() throws,
// give_up() has to follow. One thread at a time.
class BackupJob {
 public:
  // What is referred to outlives this. The index is read beside the look for other locks: it may take long.
  BackupJob(const JobContext& context, repository::Repository& repository, hypervisor::Domain& domain,
            const BackupOptions& options);

  // Refuses what cannot work, and journals every name. Nothing of the guest is touched.
  void plan();

  // Freezes, takes the snapshot, thaws: afterwards the guest writes to overlays. `meet`: see backup_instant.hpp.
  void take_instant(const std::function<void()>& meet = {});
  const InstantFacts& instant() const noexcept { return facts_; }

  // Throws Fault::no_space or unavailable when the overlays have used up their budget; from take_instant() to store(),
  // which looks at it by itself.
  void keep_within_budget() { reading_->keep_within_budget(); }

  // Reads the frozen disks and makes the point durable: from then on there is no way back. `beside`: called again and
  // again meanwhile, in whatever thread, by one at a time.
  void store(std::function<void()> beside = {});

  // Merges the overlays. That it failed is told by finish(): it does not hold the point back.
  void merge() noexcept;

  // Publishes. When the overlays could not be merged the point is published all the same, the job stays open for
  // recover, and this throws.
  BackupReport finish();

  // Undoes what was begun, and says in `cause` what a person has to do when that fails.
  void give_up(base::Error& cause);

  // After give_up(): all is as it was, and nothing failed but to save the memory, which the options would do without.
  bool only_memory_failed() const noexcept { return only_memory_failed_; }

  void note(std::string text) { notes_.add(std::move(text)); }

  // To be called before store(): the point is one of a group's.
  void set_group(repository::ManifestGroup group) { group_ = std::move(group); }
  const JobRecord& record() noexcept { return steps_.record(); }
  repository::Consistency consistency() const { return consistency_of(prepared_, facts_); }

 private:
  void name_the_job();
  void tell_homes();
  void tell_what_is_left_out();
  void open_writer();
  void read();
  void read_files();
  void seal();
  void commit();
  StorePlan keep_plan();
  void settle();
  void return_to_bases();
  void note_error(const std::string& text);
  bool failed_to_save_memory(const base::Error& cause);
  [[noreturn]] void publish_on_overlays();
  std::string publish_anyway();
  void publish();
  void hold_lock();
  void phase(std::string_view name) { context_.progress.phase(domain_.name(), name); }

  const JobContext& context_;
  repository::Repository& repository_;
  hypervisor::Domain& domain_;
  const BackupOptions& options_;
  staging::SpooledStorage* spooled_;  // null: nothing is staged
  std::optional<HeldLock> repository_lock_;
  JobSteps steps_;
  JobNotes notes_;
  DiskBitmaps bitmaps_;
  PreparedBackup prepared_;
  bool running_ = false;
  InstantFacts facts_;
  std::optional<repository::BlockWriter> writer_;
  std::optional<FrozenReading> reading_;
  std::optional<repository::ManifestGroup> group_;
  repository::Manifest manifest_;
  std::optional<base::Error> merge_failure_;
  bool on_bases_ = false;  // seen there since the snapshot
  bool only_memory_failed_ = false;
  flow::Ahead<void> index_read_;  // its end is waited for before the rest goes
};

}  // namespace icecore::job
