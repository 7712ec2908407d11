// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/block_commit.hpp"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/log.hpp"
#include "hypervisor/commit_watch.hpp"
#include "hypervisor/domain_edit.hpp"
#include "hypervisor/libvirt_worker.hpp"

namespace icecore::hypervisor {

namespace {

using base::Fault;
using base::Milliseconds;

constexpr int k_pivots_max = 10;
constexpr Milliseconds k_pivot_pause(200);

struct DiskRun {
  const OverlayDisk* disk = nullptr;
  DiskPlace place = DiskPlace::elsewhere;
  bool ready = false;
  int starts = 0;
  int pivots = 0;
};

class CommitRun {
 public:
  CommitRun(Domain& domain, std::span<const OverlayDisk> disks, const CommitOptions& options, std::stop_token stop,
            const CommitProgress& progress)
      : domain_(domain),
        options_(options),
        stop_(std::move(stop)),
        worker_(domain, options.helper),
        watch_(fmt::format("the commit of domain '{}'", domain.name()), options.stall_deadline, progress) {
    for (const OverlayDisk& disk : disks) runs_.push_back({.disk = &disk});
  }

  CommitOutcome run(CommitReport& report) {
    try {
      while (true) {
        if (!look()) return CommitOutcome::domain_stopped;
        if (all_are(DiskPlace::on_base)) return CommitOutcome::committed;
        report.joined = report.joined || joined_;
        step();
      }
    } catch (const base::Error&) {
      cancel_jobs();
      throw;
    }
  }

 private:
  // Reads the truth. False when the domain no longer runs.
  bool look() {
    domain_.connection().listen();  // so that what happens after this look is not waited for in vain
    if (!domain_.active()) return false;
    model_ = domain_.model();
    for (DiskRun& run : runs_) {
      run.place = place_of(model_, *run.disk);
      if (run.place == DiskPlace::elsewhere) return fail_elsewhere(run);
      const DiskModel* disk = model_.find_disk(run.disk->target);
      const bool pivoted = disk->source.path == run.disk->base_path;
      run.ready = run.place == DiskPlace::committing && !pivoted && disk->mirror->ready;
      joined_ = joined_ || (run.place == DiskPlace::committing && run.starts == 0);
    }
    return true;
  }

  // A domain that stopped between the two questions shows its persistent XML, which is no conflict.
  bool fail_elsewhere(const DiskRun& run) {
    if (!domain_.active()) return false;
    base::fail(Fault::conflict, "cannot commit disk {} of domain '{}' from '{}' into '{}': {}", run.disk->target,
               domain_.name(), run.disk->overlay_path, run.disk->base_path, describe_place(model_, run.disk->target));
  }

  void step() {
    if (stop_.stop_requested())
      base::fail(Fault::cancelled, "the commit of domain '{}' was interrupted", domain_.name());
    bool started = false;
    for (DiskRun& run : runs_) {
      if (run.place != DiskPlace::on_overlay) continue;
      start(run);
      started = true;
    }
    if (started) return;
    if (all_ready()) {
      base::failpoint("commit.ready");
      announce_pivot();
      for (DiskRun& run : runs_) {
        if (run.ready) pivot(run);
      }
    }
    watch_progress();
    domain_.connection().wait_for_event(options_.poll, stop_);
  }

  void start(DiskRun& run) {
    count_start(run.starts,
                fmt::format("the commit of disk {} of domain '{}' into '{}'", run.disk->target, domain_.name(),
                            run.disk->base_path),
                domain_.name());
    // vda[N] of the XML just read and checked by place_of(), so never a path that could mean another image; SHALLOW
    // makes libvirt refuse any base but the direct one, and spares the user's images below.
    const DiskModel& disk = *model_.find_disk(run.disk->target);
    const ImageSource& below = disk.backing.at(0);
    const std::string base_image = below.index == 0 ? below.path : fmt::format("{}[{}]", run.disk->target, below.index);
    constexpr unsigned k_flags =
        VIR_DOMAIN_BLOCK_COMMIT_ACTIVE | VIR_DOMAIN_BLOCK_COMMIT_SHALLOW | VIR_DOMAIN_BLOCK_COMMIT_BANDWIDTH_BYTES;
    const CallResult result = worker_.commit(run.disk->target, base_image, run.disk->overlay_path,
                                             options_.bandwidth_bytes, k_flags, options_.call_deadline);
    if (result.ok || result.connection_lost() || !domain_.active()) return;
    // Somebody, perhaps we before a restart of libvirt, has started a job since: the XML will show which.
    if (result.code == VIR_ERR_BLOCK_COPY_ACTIVE) return;
    result.check(fmt::format("starting the commit of disk {} of domain '{}'", run.disk->target, domain_.name()));
  }

  void announce_pivot() {
    if (announced_) return;
    if (options_.before_pivot) options_.before_pivot();
    announced_ = true;
    base::failpoint("commit.pivot");
  }

  // ASYNC, because the synchronous form waits for QEMU without a deadline; the XML tells when it is done.
  void pivot(DiskRun& run) {
    const CallResult result = worker_.end_job(
        run.disk->target, VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT | VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC, options_.call_deadline);
    if (result.ok || result.connection_lost() || !domain_.active()) return;
    base::log_debug("pivot of disk {} of domain '{}': {}", run.disk->target, domain_.name(), result.message);
    if (++run.pivots >= k_pivots_max) {
      result.check(fmt::format("ending the commit of disk {} of domain '{}'", run.disk->target, domain_.name()));
    }
    // "Not ready" although the XML says so, or a failure the next look at the XML will show.
    domain_.connection().wait_for_event(k_pivot_pause, stop_);
  }

  void watch_progress() {
    BlockJobProgress sum;
    for (const DiskRun& run : runs_) {
      if (run.place != DiskPlace::committing) continue;
      // What fails here shows at the next look at the XML.
      const BlockJobProgress job = worker_.block_job(run.disk->target, options_.call_deadline).progress;
      sum.done += job.done;
      sum.total += job.total;
    }
    watch_.look(sum, count(DiskPlace::on_base));
  }

  // Best effort: without it the job would go on unwatched, which is harmless, for the next call joins it.
  void cancel_jobs() noexcept {
    for (const DiskRun& run : runs_) {
      // Only jobs known to be ours: a disk that is elsewhere may carry somebody else's.
      const bool just_started = run.place == DiskPlace::on_overlay && run.starts > 0;
      if (run.place != DiskPlace::committing && !just_started) continue;
      try {
        worker_.end_job(run.disk->target, VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC, options_.call_deadline);
      } catch (const base::Error& error) {
        base::log_warning("cancelling the commit of disk {}: {}", run.disk->target, error.what());
      }
    }
  }

  std::size_t count(DiskPlace place) const {
    return static_cast<std::size_t>(
        std::count_if(runs_.begin(), runs_.end(), [&](const DiskRun& run) { return run.place == place; }));
  }
  bool all_are(DiskPlace place) const { return count(place) == runs_.size(); }
  bool all_ready() const {
    return std::all_of(runs_.begin(), runs_.end(),
                       [](const DiskRun& run) { return run.ready || run.place == DiskPlace::on_base; });
  }

  Domain& domain_;
  const CommitOptions& options_;
  std::stop_token stop_;
  LibvirtWorker worker_;
  CommitWatch watch_;
  std::vector<DiskRun> runs_;
  DomainModel model_;
  bool joined_ = false;
  bool announced_ = false;
};

// libvirt rewrites the persistent XML at the pivot only when it still has the chain it expects, and then spells out
// images below the base that the user left for it to find; a volume snapshotted while shut off it names by path.
bool repair_persistent(Domain& domain, std::span<const OverlayDisk> disks) {
  if (!domain.persistent()) return false;
  bool repaired = false;
  const DomainModel live = domain.model();
  for (const OverlayDisk& disk : disks) {
    const DomainModel persistent = domain.inactive_model();
    const DiskModel* now = persistent.find_disk(disk.target);
    const DiskModel* running = live.find_disk(disk.target);
    if (now == nullptr || running == nullptr) continue;  // detached a moment ago
    const std::string& format = running->source.format;
    if (chain_has(*now, disk.overlay_path)) {
      repaired = redefine_on_base(domain, disk, format) || repaired;
    } else if (now->source.path == disk.base_path) {
      repaired = respell_base(domain, disk, format) || repaired;
    }
  }
  return repaired;
}

}  // namespace

void refuse_migrated(Domain& domain, std::string_view images) {
  if (domain.state() == DomainState::gone || !domain.migrated_away()) return;
  base::Error error(base::Fault::conflict,
                    fmt::format("domain '{}' was migrated to another host with its {}", domain.name(), images));
  throw error.add_hint("migrate it back, then run 'icecore recover'");
}

CommitReport commit_overlays(Domain& domain, std::span<const OverlayDisk> disks, const CommitOptions& options,
                             std::stop_token stop, const CommitProgress& progress) {
  const base::Stopwatch watch;
  CommitReport report;
  report.outcome = CommitOutcome::domain_stopped;
  if (domain.active()) report.outcome = CommitRun(domain, disks, options, std::move(stop), progress).run(report);
  if (report.outcome == CommitOutcome::committed) {
    base::failpoint("commit.pivoted");
    report.persistent_was_repaired = repair_persistent(domain, disks);
  } else {
    refuse_migrated(domain, "overlays");
  }
  report.elapsed = watch.elapsed();
  return report;
}

}  // namespace icecore::hypervisor
