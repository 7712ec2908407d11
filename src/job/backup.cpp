// SPDX-License-Identifier: Apache-2.0
#include "job/backup.hpp"

#include <optional>

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/guarded.hpp"
#include "base/handle.hpp"
#include "base/id.hpp"
#include "base/log.hpp"
#include "base/shell_word.hpp"
#include "flow/ahead.hpp"
#include "hypervisor/freeze.hpp"
#include "hypervisor/snapshot.hpp"
#include "job/backup_manifest.hpp"
#include "job/backup_plan.hpp"
#include "job/capture.hpp"
#include "job/domain_lock.hpp"
#include "job/held_lock.hpp"
#include "job/journal.hpp"
#include "job/overlay_return.hpp"
#include "job/prepare_backup.hpp"
#include "job/recover.hpp"
#include "job/space_watch.hpp"
#include "staging/spooled_storage.hpp"

namespace icecore::job {

using base::Fault;
using hypervisor::FreezeState;

namespace {

class BackupJob {
 public:
  BackupJob(const JobContext& context, repository::Repository& repository, hypervisor::Domain& domain,
            const BackupOptions& options)
      : context_(context),
        repository_(repository),
        domain_(domain),
        options_(options),
        spooled_(staging::spooled(repository.storage())),
        journal_(context.state_dir) {
    // The index is read beside the look for other locks, and while the disks are looked at: it may take long.
    repository_lock_.emplace(repository, "backup of '" + domain.name() + "'",
                             [this] { index_read_ = flow::Ahead<void>([this] { open_writer(); }); });
  }

  BackupReport run() {
    plan();
    if (spooled_ != nullptr) spooled_->set_wait_hook([this] { keep_within_budget(); });
    const base::ScopeExit unhook([this] {
      if (spooled_ != nullptr) spooled_->set_wait_hook({});
    });
    try {
      capture_instant();
      read();
      seal();
    } catch (base::Error& error) {
      give_up(error);
      throw;
    } catch (const std::exception& error) {
      base::Error failure(Fault::internal, error.what());
      give_up(failure);
      throw failure;
    }
    return go_forwards();
  }

 private:
  // ---- planned
  void plan() {
    phase("prepare");
    record_.id = base::random_id(16);
    record_.domain_uuid = domain_.uuid();
    record_.domain_name = domain_.name();
    record_.created = base::now();
    running_ = domain_.active();
    prepared_ = prepare_backup(domain_, options_, record_.id);
    prepared_.plan.repository_url = repository_.storage().url();
    prepared_.plan.repository_id = repository_.config().repository_id;
    if (spooled_ != nullptr) prepared_.plan.staging = spooled_->spool().folder().parent_path();
    prepared_.plan.freezes = options_.quiesce != Quiesce::off;
    for (const repository::SkippedDisk& disk : prepared_.skipped)
      note(fmt::format("disk '{}' is skipped: {}", disk.target, disk.reason));
    if (!prepared_.model.nvram.empty()) note("the firmware's variables (NVRAM) are not in the backup");
    if (prepared_.model.tpm) note("the state of the TPM is not in the backup");
    record_.plan = to_json(prepared_.plan);
    index_read_.get();  // while nothing is frozen and no overlay grows
    journal_.begin(record_);
    base::failpoint("backup.fact.planned");
  }

  void open_writer() {
    writer_.emplace(repository_, options_.compression_level == 0 ? repository::k_compression_level_default
                                                                 : options_.compression_level);
  }

  // Intent, act, fact; a place to die between each of them.
  template <typename Act>
  void step(JobState next, Durability durability, Act&& act) {
    const std::string name(to_string(next));
    journal_.intend(record_, next, durability);
    base::failpoint("backup.intent." + name);
    act();
    base::failpoint("backup.acted." + name);
    journal_.reach(record_, next, durability);
    base::failpoint("backup.fact." + name);
  }

  // ---- frozen, snapshotted, thawed: what can be slow (helper processes, connections) happens before the window.
  void capture_instant() {
    hypervisor::Snapshot snapshot(domain_, overlays());
    std::optional<hypervisor::Freeze> freeze;
    if (prepared_.plan.freezes) freeze.emplace(domain_, freeze_options());
    phase("snapshot");
    stop_here_if_asked();
    step(JobState::frozen, Durability::process_death, [&] {
      if (freeze) facts_.freeze = freeze->freeze();
      require_quiesced();
    });
    facts_.instant = base::now();
    step(JobState::snapshotted, Durability::process_death, [&] { facts_.snapshot = snapshot.take(); });
    step(JobState::thawed, Durability::process_death, [&] {
      if (freeze) facts_.thaw = freeze->thaw();
    });
    snapshot.confirm();
    require_next_start_on_overlays();
    require_thaw_in_time();
  }

  void require_quiesced() {
    const FreezeState state = facts_.freeze ? facts_.freeze->state : FreezeState::not_running;
    const bool none_there = state == FreezeState::frozen && facts_.freeze->file_systems == 0;
    if (state == FreezeState::not_running || (state == FreezeState::frozen && !none_there)) return;
    const std::string reason = none_there ? "its agent found no file system to freeze" : facts_.freeze->reason;
    if (options_.quiesce != Quiesce::required) return note("file systems were not frozen: " + reason);
    base::Error error(Fault::unavailable, fmt::format("the guest could not be frozen: {}", reason));
    throw error.add_hint("start the guest agent in the guest, or use --quiesce=try");
  }

  void require_thaw_in_time() {
    const bool was_frozen = facts_.freeze && facts_.freeze->state == FreezeState::frozen;
    if (!was_frozen || (facts_.thaw->thawed && !facts_.thaw->early)) return;
    if (options_.quiesce != Quiesce::required) return note(facts_.thaw->reason);
    base::fail(Fault::unavailable, "the guest did not stay frozen until the snapshot was taken: {}",
               facts_.thaw->reason);
  }

  // While a guest's newest data is in an overlay, the persistent XML must say so: recover relies on it.
  void require_next_start_on_overlays() {
    if (prepared_.plan.transient) return;
    const hypervisor::DomainModel next = domain_.inactive_model();
    for (const PlannedDisk& disk : prepared_.plan.disks) {
      if (hypervisor::place_of(next, to_overlay(disk)) == hypervisor::DiskPlace::on_overlay) continue;
      base::fail(Fault::conflict, "the snapshot of disk '{}' is not in the domain's persistent definition",
                 disk.target);
    }
  }

  // ---- reading
  void read() {
    for (const PlannedDisk& disk : prepared_.plan.disks) {
      budget_.with([&](auto& watches) {
        watches.emplace_back(disk.overlay_path, options_.overlay_free_share_min, options_.overlay_age_max);
      });
    }
    step(JobState::reading, Durability::power_loss, [&] {
      manifest_ = draft_manifest(record_, prepared_, options_, facts_, running_);
      for (std::size_t i = 0; i < prepared_.plan.disks.size(); ++i)
        read_disk(prepared_.plan.disks[i], manifest_.disks[i]);
    });
  }

  // Called while blocks are stored, and while a full spool makes them wait.
  void keep_within_budget() {
    budget_.with([&](std::vector<SpaceWatch>& watches) {
      for (SpaceWatch& watch : watches) watch.check();
    });
    stop_here_if_asked();
  }

  void read_disk(const PlannedDisk& disk, repository::ManifestDisk& entry) {
    base::with_context(
        [&] {
          phase("read " + disk.target);
          const auto source = disk::DiskSource::open(
              {.image = disk.base_path, .format = disk.format, .block_size = repository_.config().block_bytes});
          const std::uint64_t total = source->data_bytes({}, context_.stop);
          const repository::WriteStats before = writer_->stats();
          const Captured captured = capture_disk(
              *source, *writer_,
              [&](std::uint64_t done) {
                keep_within_budget();
                const repository::WriteStats now = writer_->stats();
                context_.progress.transfer({.bytes_total = total,
                                            .bytes_done = done,
                                            .bytes_new = now.new_bytes - before.new_bytes,
                                            .bytes_stored = now.compressed_bytes - before.compressed_bytes});
              },
              context_.stop);
          fill_disk(entry, captured, before, writer_->stats());
        },
        "read disk '{}' of domain '{}'", disk.target, domain_.name());
  }

  // ---- sealed: from here on only forwards, and Ctrl-C has nothing to cut short any more.
  void seal() {
    step(JobState::sealed, Durability::power_loss, [&] {
      phase("seal");
      require_same_sizes();
      require_same_chains();
      stop_here_if_asked();
      complete_manifest(manifest_, writer_->finish(), record_.created);
      prepared_.plan.manifest = base::to_hex(repository::encode_manifest(manifest_));
      store_plan();
    });
  }

  // A disk resized in the window: the point would be right, but merging would have to grow the base.
  void require_same_sizes() {
    for (std::size_t i = 0; i < prepared_.plan.disks.size(); ++i) {
      const PlannedDisk& disk = prepared_.plan.disks[i];
      const std::uint64_t now = disk::inspect_image(disk.overlay_path, "qcow2").virtual_size;
      const std::uint64_t then = prepared_.images[i].virtual_size;
      if (now == then) continue;
      base::Error error(Fault::conflict, fmt::format("disk '{}' was resized from {} to {} while it was being backed up",
                                                     disk.target, base::format_size(then), base::format_size(now)));
      throw error.add_hint("run the backup again");
    }
  }

  // An image swapped while we read it: what was read is nobody's disk, and merging would write into a stranger.
  void require_same_chains() {
    for (const PlannedDisk& disk : prepared_.plan.disks)
      disk::expect_same_chain(disk.chain, disk::fingerprint_chain(disk.base_path, disk.format));
  }

  // ---- committing, committed, uploading, published, done. A commit that fails does not hold the point back: it
  // is published all the same, and the job stays open for recover.
  BackupReport go_forwards() {
    std::optional<base::Error> commit_failure;
    try {
      commit();
    } catch (const base::Error& error) {
      commit_failure = error;
    }
    if (commit_failure) {
      commit_failure->add_context(
          fmt::format("{}, but domain '{}' is still on its overlays", publish_anyway(), domain_.name()));
      journal_.set_error(record_, commit_failure->what());
      throw commit_failure->add_hint("icecore recover " + base::shell_operand(domain_.name()));
    }
    const bool staged = spooled_ != nullptr;
    step(JobState::uploading, Durability::power_loss, [&] {
      if (staged) publish();
    });
    if (!staged) step(JobState::published, Durability::power_loss, [&] { publish(); });
    journal_.reach(record_, JobState::done);
    base::failpoint("backup.fact.done");
    return {.manifest = manifest_, .pending = staged, .notes = notes_};
  }

  std::string publish_anyway() {
    const std::string point = "restore point " + record_.id.substr(0, 8);
    try {
      publish();
      return point + " is published";
    } catch (const base::Error& error) {
      return fmt::format("{} is complete, not published ({})", point, error.what());
    }
  }

  void commit() {
    prepared_.plan.commit_begun = true;
    store_plan();
    step(JobState::committing, Durability::power_loss, [] {});
    phase("commit");
    step(JobState::committed, Durability::power_loss,
         [&] { return_to_bases(domain_.connection(), record_.domain_uuid, prepared_.plan, context_.progress, {}); });
  }

  void publish() {
    phase("publish");
    hold_lock();
    repository::publish(repository_, manifest_);
  }

  // Somebody may have taken it for left behind. What a prune did since is found out by the look at the blocks.
  void hold_lock() {
    try {
      repository_lock_->lock.check();
    } catch (const base::Error& error) {
      if (error.fault() != Fault::conflict) throw;
      base::log_warning("{}; it is taken again", error.what());
      repository_lock_.emplace(repository_, "backup of '" + domain_.name() + "'");
    }
  }

  // ---- aborting, failed
  void give_up(base::Error& cause) {
    try {
      step(JobState::aborting, Durability::power_loss, [&] {
        phase("undo");
        return_to_bases(domain_.connection(), record_.domain_uuid, prepared_.plan, context_.progress, {});
      });
      journal_.set_error(record_, cause.what());
      journal_.reach(record_, JobState::failed);
    } catch (const base::Error& second) {
      base::log_warning("domain '{}' could not be put back on its bases: {}", domain_.name(), second.what());
      journal_.set_error(record_, fmt::format("{}; undoing it failed: {}", cause.what(), second.what()));
      cause.add_hint("icecore recover " + base::shell_operand(domain_.name()));
    }
  }

  std::vector<hypervisor::OverlayDisk> overlays() const {
    std::vector<hypervisor::OverlayDisk> disks;
    for (const PlannedDisk& disk : prepared_.plan.disks) disks.push_back(to_overlay(disk));
    return disks;
  }
  hypervisor::FreezeOptions freeze_options() const {
    hypervisor::FreezeOptions freeze;
    if (options_.freeze_limit.count() > 0) freeze.cap = freeze.windows_cap = options_.freeze_limit;
    return freeze;
  }
  void store_plan() {
    record_.plan = to_json(prepared_.plan);
    journal_.update_plan(record_);
  }
  void stop_here_if_asked() const {
    if (context_.stop.stop_requested())
      base::fail(Fault::cancelled, "the backup of '{}' was interrupted", domain_.name());
  }
  void phase(std::string_view name) { context_.progress.phase(domain_.name(), name); }
  void note(std::string text) {
    context_.progress.note(domain_.name(), text);
    notes_.push_back(std::move(text));
  }

  const JobContext& context_;
  repository::Repository& repository_;
  hypervisor::Domain& domain_;
  const BackupOptions& options_;
  staging::SpooledStorage* spooled_;  // null: nothing is staged
  std::optional<HeldLock> repository_lock_;
  base::Guarded<std::vector<SpaceWatch>> budget_;  // of each overlay
  Journal journal_;
  JobRecord record_;
  PreparedBackup prepared_;
  bool running_ = false;
  InstantFacts facts_;
  std::optional<repository::BlockWriter> writer_;
  repository::Manifest manifest_;
  std::vector<std::string> notes_;
  flow::Ahead<void> index_read_;  // its end is waited for before the rest goes
};

}  // namespace

BackupReport run_backup(const JobContext& context, repository::Repository& repository, const std::string& domain_name,
                        const BackupOptions& options) {
  hypervisor::Connection connection(context.connect_uri);
  hypervisor::Domain domain = connection.domain(domain_name);
  const DomainLock lock(domain.uuid(), domain.name());
  recover_before_backup(context, connection, repository, domain);
  return base::with_context([&] { return BackupJob(context, repository, domain, options).run(); }, "backup of '{}'",
                            domain.name());
}

}  // namespace icecore::job
