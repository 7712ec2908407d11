// SPDX-License-Identifier: Apache-2.0
#include "job/backup_instant.hpp"

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "hypervisor/durable_definition.hpp"
#include "job/memory_plan.hpp"
#include "job/own_overlays.hpp"

namespace icecore::job {

using base::Fault;
using hypervisor::FreezeState;

namespace {

// Beside the snapshot the guest may be frozen, and waits; afterwards nobody does.
constexpr base::Milliseconds k_firmware_patience_frozen(50);
// For the freeze call of one of a group, when no freeze limit is given.
constexpr base::Milliseconds k_freeze_call = std::chrono::seconds(5);
constexpr base::Milliseconds k_firmware_patience = std::chrono::seconds(2);

class Instant {
 public:
  Instant(hypervisor::Domain& domain, const PreparedBackup& prepared, const BackupOptions& options,
          const JobContext& context, JobSteps& steps, JobNotes& notes, const std::function<void()>& meet)
      : domain_(domain),
        prepared_(prepared),
        options_(options),
        context_(context),
        steps_(steps),
        notes_(notes),
        meet_(meet),
        own_overlays_(needs_own_overlays(domain, prepared)) {}

  // What can be slow (helper processes, connections) happens before the window.
  InstantFacts take() {
    if (own_overlays_) make_own_overlays();
    hypervisor::Snapshot snapshot(domain_, overlays(), snapshot_options());
    const FirmwareFiles firmware = firmware_files(prepared_.model, domain_.connection().uri());
    std::optional<hypervisor::Freeze> freeze;
    if (prepared_.plan.freezes) freeze.emplace(domain_, freeze_options());
    context_.progress.phase(domain_.name(), "snapshot");
    stop_here_if_asked(context_, domain_.name());
    if (freeze && freeze->obstacle()) require_quiesced(*freeze->obstacle());
    base::failpoint("backup.ready");
    meet();
    steps_.step(JobState::frozen, Durability::process_death, [&] {
      if (freeze) note_freeze(freeze->freeze());
    });
    meet();
    steps_.step(JobState::snapshotted, Durability::process_death, [&] { take(snapshot); });
    facts_.firmware = copy_firmware(firmware, k_firmware_patience_frozen);
    meet();
    steps_.step(JobState::thawed, Durability::process_death, [&] {
      if (freeze) facts_.thaw = freeze->thaw();
    });
    if (!facts_.firmware.settled) facts_.firmware = copy_firmware(firmware, k_firmware_patience);
    snapshot.confirm();
    require_next_start_on_overlays();
    // Only now, since it takes time, and nobody waits any more. A power loss would have it start on its bases.
    if (!prepared_.plan.transient) hypervisor::make_definition_durable(domain_.connection(), domain_.uuid());
    require_thaw_in_time();
    return facts_;
  }

 private:
  void make_own_overlays() {
    context_.progress.phase(domain_.name(), "make overlays");
    make_overlays(domain_.connection(), prepared_, context_.stop);
    base::failpoint("backup.overlays_made");
  }

  void take(hypervisor::Snapshot& snapshot) {
    const bool memory = !prepared_.plan.memory_file.empty();
    facts_.instant = base::now();
    facts_.bounds.earliest = std::chrono::steady_clock::now();
    base::failpoint("backup.snapshotting");
    facts_.snapshot = memory ? take_with_memory(snapshot, prepared_, options_, context_) : snapshot.take();
    facts_.bounds.latest = std::chrono::steady_clock::now();
    if (!memory) return look_whether_started();
    facts_.memory = true;
    // The memory is of its end.
    facts_.instant = base::now() - facts_.snapshot.paused;
    facts_.bounds.earliest = facts_.bounds.latest - facts_.snapshot.paused;
  }

  // Nobody froze a domain that was planned as one that is off.
  void look_whether_started() {
    if (!prepared_.off || !domain_.active()) return;
    facts_.started_meanwhile = true;
    if (options_.quiesce == Quiesce::required)
      base::fail(Fault::unavailable, "the domain was started just before the snapshot, and nothing was frozen");
    notes_.add("crash-consistent: the domain was started just before the snapshot, and nothing was frozen");
  }

  void meet() const {
    if (meet_) meet_();
  }

  // Why the guest's file systems are not frozen; empty when they are, or at rest.
  static std::string not_quiesced(const hypervisor::FreezeReport& report) {
    if (report.state == FreezeState::not_running) return {};
    if (report.state != FreezeState::frozen) return report.reason;
    return report.file_systems == 0 ? "its agent found no file system to freeze" : "";
  }

  void note_freeze(const hypervisor::FreezeReport& report) {
    facts_.freeze = report;
    require_quiesced(report);
    const std::string reason = not_quiesced(report);
    if (!reason.empty()) notes_.add("file systems were not frozen: " + reason);
  }

  void require_quiesced(const hypervisor::FreezeReport& report) const {
    const std::string reason = not_quiesced(report);
    if (reason.empty() || options_.quiesce != Quiesce::required) return;
    base::Error error(Fault::unavailable, fmt::format("the guest could not be frozen: {}", reason));
    throw error.add_hint(
        "start the guest agent in the guest, or use --quiesce=try, in a policy <quiesce rule=\"try\"/>");
  }

  void require_thaw_in_time() {
    const bool was_frozen = facts_.freeze && facts_.freeze->state == FreezeState::frozen;
    if (!was_frozen || (facts_.thaw->thawed && !facts_.thaw->early)) return;
    if (options_.quiesce != Quiesce::required) return notes_.add(facts_.thaw->reason);
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

  std::vector<hypervisor::OverlayDisk> overlays() const {
    std::vector<hypervisor::OverlayDisk> disks;
    for (const PlannedDisk& disk : prepared_.plan.disks) disks.push_back(to_overlay(disk));
    return disks;
  }
  hypervisor::SnapshotOptions snapshot_options() const {
    hypervisor::SnapshotOptions snapshot{.overlays_exist = own_overlays_};
    if (!prepared_.plan.memory_file.empty()) snapshot.memory = {prepared_.plan.memory_file.string(), prepared_.pauses};
    return snapshot;
  }
  hypervisor::FreezeOptions freeze_options() const {
    hypervisor::FreezeOptions freeze;
    if (options_.freeze_limit.count() > 0) freeze.cap = freeze.windows_cap = options_.freeze_limit;
    if (meet_) freeze.call_cap = options_.freeze_limit.count() > 0 ? options_.freeze_limit / 2 : k_freeze_call;
    return freeze;
  }

  hypervisor::Domain& domain_;
  const PreparedBackup& prepared_;
  const BackupOptions& options_;
  const JobContext& context_;
  JobSteps& steps_;
  JobNotes& notes_;
  const std::function<void()>& meet_;
  const bool own_overlays_;
  InstantFacts facts_;
};

}  // namespace

InstantFacts take_instant(hypervisor::Domain& domain, const PreparedBackup& prepared, const BackupOptions& options,
                          const JobContext& context, JobSteps& steps, JobNotes& notes,
                          const std::function<void()>& meet) {
  return Instant(domain, prepared, options, context, steps, notes, meet).take();
}

}  // namespace icecore::job
