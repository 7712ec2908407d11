// SPDX-License-Identifier: Apache-2.0
#include "job/overlay_return.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/log.hpp"
#include "base/shell_word.hpp"
#include "disk/image.hpp"
#include "disk/offline_commit.hpp"
#include "disk/overlay_image.hpp"
#include "hypervisor/block_commit.hpp"
#include "hypervisor/disk_encryption.hpp"
#include "hypervisor/domain_edit.hpp"
#include "hypervisor/durable_definition.hpp"
#include "hypervisor/max_downtime.hpp"
#include "hypervisor/memory_job.hpp"
#include "job/base_growth.hpp"
#include "job/base_use.hpp"
#include "job/io_error.hpp"
#include "job/merge_checks.hpp"
#include "job/merge_rounds.hpp"
#include "job/overlay_age.hpp"

namespace icecore::job {

using base::Fault;
using hypervisor::DiskPlace;
using hypervisor::Domain;
using hypervisor::OverlayDisk;

namespace {

constexpr base::Milliseconds k_offline_deadline = std::chrono::hours(24);
constexpr const char* k_was_on_base = "was on its base";
constexpr const char* k_merged_live = "merged while running";

MergePair to_pair(const PlannedDisk& disk) { return {disk.target, disk.overlay_path, disk.base_path, disk.format}; }

class Return {
 public:
  Return(hypervisor::Connection& connection, const std::string& uuid, BackupPlan& plan, const StorePlan& store,
         Progress& progress, std::stop_token stop)
      : connection_(connection),
        uuid_(uuid),
        plan_(plan),
        store_(store),
        progress_(progress),
        stop_(stop),
        rounds_(connection, std::move(stop)) {}

  std::vector<ReturnedDisk> run() {
    end_capture(connection_, uuid_, plan_);
    unlink_unfinished();
    for (const PlannedDisk& disk : plan_.disks) result_.push_back({disk.target, k_was_on_base});
    rounds_.run("overlays", [this] { return one_round(); });
    leave_unmerged();
    const bool gave_room = unlink_overlays();
    remove_memory(plan_);
    if (gave_room) resume_after_io_error(connection_, uuid_, progress_);
    require_none_detached();
    require_none_left();
    return result_;
  }

 private:
  // Overlays that were not whole yet when their making was cut short: nobody has them.
  void unlink_unfinished() const {
    for (const PlannedDisk& disk : plan_.disks) {
      std::error_code failure;
      const std::filesystem::path unfinished = disk::unfinished_overlay(disk.overlay_path);
      std::filesystem::remove(unfinished, failure);
      if (failure) base::fail_errno(failure.value(), "remove '" + unfinished.string() + "'");
    }
  }

  // True when every disk is on its base, live and persistent.
  bool one_round() {
    for (const PlannedDisk& disk : plan_.disks) expect_room_in_device(to_pair(disk));
    detached_.clear();
    if (!connection_.has_domain(uuid_)) return merge_without_domain();
    Domain domain = connection_.domain(uuid_);
    return domain.active() ? merge_live(domain) : merge_offline(domain);
  }

  // Of the disks the domain still has, those that are there.
  std::vector<PlannedDisk*> at(const hypervisor::DomainModel& model, DiskPlace place) {
    std::vector<PlannedDisk*> disks = attached(model);
    std::erase_if(disks,
                  [&](const PlannedDisk* disk) { return hypervisor::place_of(model, to_overlay(*disk)) != place; });
    return disks;
  }

  // When the end of a merge fails, the disks that are seen on their overlays as before have their newest data there,
  // and go on writing there.
  template <typename End>
  auto or_still_on_overlays(Domain& domain, End&& end) {
    try {
      return end();
    } catch (const std::exception&) {
      try {
        remember(at(domain.active() ? domain.model() : domain.inactive_model(), DiskPlace::on_overlay),
                 MergeState::begun);
      } catch (const base::Error& second) {
        base::log_warning("where the disks of domain '{}' are could not be seen: {}", domain.name(), second.what());
      }
      throw;
    }
  }

  bool merge_live(Domain& domain) {
    const hypervisor::DomainModel model = domain.model();
    const std::vector<PlannedDisk*> disks = attached(model);
    if (disks.empty()) return true;
    std::vector<PlannedDisk*> merging = at(model, DiskPlace::on_overlay);
    for (const PlannedDisk* disk : merging) refuse_internal_snapshots(to_pair(*disk), domain.name());
    remember(merging, MergeState::begun);
    for (const PlannedDisk* disk : merging) {
      if (!let_live_base_grow(to_pair(*disk), domain)) return false;
    }
    for (PlannedDisk* disk : at(model, DiskPlace::committing)) {
      // Of one whose end was begun it stays unknown which file is the newer.
      if (disk->merge != MergeState::ending) remember({disk}, MergeState::begun);
      merging.push_back(disk);
    }
    if (!commit_live(domain, disks, merging)) return false;
    for (const PlannedDisk* disk : merging) note(disk->target, k_merged_live);
    remember_ended(disks);
    return true;
  }

  bool commit_live(Domain& domain, const std::vector<PlannedDisk*>& disks, const std::vector<PlannedDisk*>& merging) {
    std::vector<OverlayDisk> overlays;
    for (const PlannedDisk* disk : disks) overlays.push_back(to_overlay(*disk));
    hypervisor::CommitOptions options;
    options.before_pivot = [&] { remember(merging, MergeState::ending); };
    const auto tell = [&](std::uint64_t done, std::uint64_t total) {
      progress_.transfer({.bytes_total = total, .bytes_done = done});
    };
    const hypervisor::CommitReport report = or_still_on_overlays(
        domain, [&] { return hypervisor::commit_overlays(domain, overlays, options, stop_, tell); });
    return report.outcome == hypervisor::CommitOutcome::committed;
  }

  void remember(const std::vector<PlannedDisk*>& disks, MergeState state) {
    bool news = false;
    for (PlannedDisk* disk : disks) news = std::exchange(disk->merge, state) != state || news;
    if (news && store_) store_(plan_);
  }

  // On their bases. Once a transient domain is gone nothing else tells.
  void remember_ended(std::vector<PlannedDisk*> disks) {
    std::erase_if(disks, [](const PlannedDisk* disk) { return disk->merge != MergeState::ending; });
    if (plan_.transient) return remember(disks, MergeState::done);
    for (PlannedDisk* disk : disks) disk->merge = MergeState::done;
  }

  bool merge_offline(Domain& domain) {
    hypervisor::refuse_migrated(domain, "overlays");
    const hypervisor::DomainModel model = domain.inactive_model();
    for (PlannedDisk* planned : attached(model)) {
      const PlannedDisk& disk = *planned;
      switch (hypervisor::place_of(model, to_overlay(disk))) {
        case DiskPlace::on_base: hypervisor::respell_base(domain, to_overlay(disk), disk.format); continue;
        case DiskPlace::on_overlay: refuse_saved_on(domain, "overlays", [&] { return ran_on_overlays(); }); break;
        case DiskPlace::committing: return false;  // it was started a moment ago
        case DiskPlace::elsewhere: fail_elsewhere(model, disk);
      }
      if (may_be_out_of_date(model, disk)) {
        require_merged(to_pair(disk), uuid_, key_of(disk), stop_);
      } else {
        refuse_internal_snapshots(to_pair(disk), domain.name());
        remember({planned}, MergeState::begun);
        if (!merge_files(disk)) return false;
      }
      base::failpoint("return.merged_offline");
      if (domain.active()) return false;
      remember({planned}, MergeState::ending);
      or_still_on_overlays(domain, [&] {
        base::failpoint("return.redefining");
        hypervisor::redefine_on_base(domain, to_overlay(disk), disk.format);
      });
      note(disk.target, "merged offline");
    }
    return !domain.active();
  }

  // The disks the domain still has: one that somebody took out of it must not keep the others on their overlays.
  std::vector<PlannedDisk*> attached(const hypervisor::DomainModel& model) {
    std::vector<PlannedDisk*> disks;
    detached_.clear();
    for (PlannedDisk& disk : plan_.disks) {
      const hypervisor::DiskModel* now = model.find_disk(disk.target);
      if (now == nullptr || !has_moved_on(now->source, disk)) (now == nullptr ? detached_ : disks).push_back(&disk);
    }
    return disks;
  }

  bool is_detached(const PlannedDisk& disk) const {
    return std::find(detached_.begin(), detached_.end(), &disk) != detached_.end();
  }

  // Nothing tells which of the two files such a disk was on.
  void require_none_detached() const {
    for (const PlannedDisk* disk : detached_) {
      if (!std::filesystem::exists(disk->overlay_path)) continue;
      base::Error error(Fault::conflict,
                        fmt::format("disk '{}' was detached from the domain meanwhile: what it held last is in its "
                                    "overlay '{}', unless that had been merged already",
                                    disk->target, disk->overlay_path.string()));
      throw error.add_hint(
          fmt::format("compare it with '{}' and remove the one that is older; a disk attached again "
                      "with the overlay is merged by `icecore recover`",
                      disk->base_path.string()));
    }
  }

  // The domain has ended and is defined no more: no XML can say where the newest data is, only the journal. QEMU keeps
  // an overlay whole until its commit is pivoted, which neither it nor libvirt does by itself.
  bool merge_without_domain() {
    const bool merged = std::all_of(plan_.disks.begin(), plan_.disks.end(), [&](PlannedDisk& disk) {
      return disk.merge == MergeState::done || disk.merge == MergeState::left || merge_alone(disk);
    });
    return merged && !connection_.has_domain(uuid_);  // defined anew, it may be on the overlays again
  }

  bool merge_alone(PlannedDisk& disk) {
    if (!std::filesystem::exists(disk.overlay_path)) {
      require_never_there(disk);
      return true;
    }
    if (disk.merge == MergeState::ending) fail_undecided(disk);
    require_image_unused(connection_, disk.overlay_path, uuid_);
    if (base_was_used(connection_, disk)) {
      remember({&disk}, MergeState::left);
      return true;
    }
    remember({&disk}, MergeState::begun);
    if (!merge_files(disk)) return false;
    remember({&disk}, MergeState::done);
    note(disk.target, "merged offline");
    return true;
  }

  // A file system that is not mounted must not pass for an overlay that was merged.
  void require_never_there(const PlannedDisk& disk) const {
    if (!plan_.snapshotted || disk.merge == MergeState::ending) return;
    base::Error error(Fault::conflict,
                      fmt::format("disk '{}': the domain is gone, and so is its overlay '{}', of which it is not known "
                                  "that it was merged",
                                  disk.target, disk.overlay_path.string()));
    throw error.add_hint(
        fmt::format("mount the file system it is on; if both are gone for good, `icecore recover {} --close`", uuid_));
  }

  [[noreturn]] static void fail_undecided(const PlannedDisk& disk) {
    base::Error error(Fault::conflict,
                      fmt::format("disk '{}': the domain is gone and its overlay '{}' may or may not be merged already",
                                  disk.target, disk.overlay_path.string()));
    throw error.add_hint(fmt::format("compare it with '{}' and remove the one that is older", disk.base_path.string()));
  }

  // False: a domain has the files open, so look again.
  bool merge_files(const PlannedDisk& disk) {
    expect_known_chain(disk);
    const auto merge = [&] {
      let_base_grow(to_pair(disk));
      const std::optional<base::Passphrase> key = key_of(disk);
      disk::commit_offline(disk.overlay_path, disk.base_path, disk.format, k_offline_deadline, stop_,
                           key ? &*key : nullptr);
    };
    return rounds_.merge_unless_in_use(merge);
  }

  std::optional<base::Passphrase> key_of(const PlannedDisk& disk) const {
    if (disk.encryption.empty()) return std::nullopt;
    return hypervisor::read_passphrase(connection_, disk.encryption);
  }

  // A disk found on its base, though we had not begun to bring any there: its owner has, with an older definition or a
  // transient domain made anew. What the guest wrote last is in the overlay then, and nowhere else.
  void leave_unmerged() {
    for (PlannedDisk& disk : plan_.disks) {
      const bool is_ours = disk.merge == MergeState::unbegun || disk.merge == MergeState::begun;
      if (!is_ours || is_detached(disk) || !std::filesystem::exists(disk.overlay_path)) continue;
      if (is_written_to(disk)) remember({&disk}, MergeState::left);
    }
  }

  bool is_written_to(const PlannedDisk& disk) const {
    const std::optional<base::Passphrase> key = key_of(disk);
    return disk::was_written_to(disk.overlay_path, disk.base_path, disk.format, stop_, key ? &*key : nullptr);
  }

  bool ran_on_overlays() const {
    return !plan_.saved_before || std::any_of(plan_.disks.begin(), plan_.disks.end(), [&](const PlannedDisk& disk) {
      return std::filesystem::exists(disk.overlay_path) && is_written_to(disk);
    });
  }

  // It is told at each look, until somebody has removed the overlay.
  void require_none_left() const {
    for (const PlannedDisk& disk : plan_.disks) {
      if (disk.merge != MergeState::left || !std::filesystem::exists(disk.overlay_path)) continue;
      base::Error error(Fault::conflict,
                        fmt::format("disk '{}': its base '{}' is used without what the guest wrote after the "
                                    "snapshot, which is in our overlay '{}'",
                                    disk.target, disk.base_path.string(), disk.overlay_path.string()));
      throw error.add_hint(
          "take from it what is needed, if it was not merged by hand, remove it, and run "
          "`icecore recover`");
    }
  }

  // A disk that was resized on its overlay has had its base grown when an earlier merge was cut short.
  static void expect_known_chain(const PlannedDisk& disk) {
    disk::ChainFingerprint known = disk.chain;
    const disk::ChainFingerprint now = disk::fingerprint_chain(disk.base_path, disk.format);
    const std::uint64_t grown = disk::inspect_image(disk.overlay_path, "qcow2").virtual_size;
    if (!known.empty() && now.front().virtual_size == grown) known.front().virtual_size = grown;
    disk::expect_same_chain(known, now);
  }

  [[noreturn]] static void fail_elsewhere(const hypervisor::DomainModel& model, const PlannedDisk& disk) {
    const hypervisor::DiskModel* now = model.find_disk(disk.target);
    base::Error error(Fault::conflict,
                      fmt::format("disk '{}' is on '{}', neither on its base '{}' nor on our overlay", disk.target,
                                  now == nullptr ? "no such disk" : now->source.path, disk.base_path.string()));
    throw error.add_hint(
        fmt::format("it was restored elsewhere, or somebody changed the chain: `virsh dumpxml {0}` shows it. Once our "
                    "overlay '{1}' is of no use any more, remove it and run `icecore recover {0} --close`",
                    base::shell_operand(model.name), disk.overlay_path.string()));
  }

  // Only reached when live and persistent XML show the bases. True when there were any.
  bool unlink_overlays() {
    base::failpoint("return.before_unlink");
    hypervisor::make_definition_durable(connection_, uuid_);  // or a power loss brings one back that names them
    bool any = false;
    for (const PlannedDisk& disk : plan_.disks) {
      if (is_detached(disk) || disk.merge == MergeState::left) continue;
      std::error_code failure;
      const bool removed = std::filesystem::remove(disk.overlay_path, failure);
      if (failure) base::fail_errno(failure.value(), "remove the merged overlay '" + disk.overlay_path.string() + "'");
      if (removed) base::sync_folder(disk.overlay_path.parent_path());
      any = any || removed;
    }
    return any;
  }

  void note(const std::string& target, const std::string& action) {
    const auto disk =
        std::find_if(result_.begin(), result_.end(), [&](const ReturnedDisk& entry) { return entry.target == target; });
    if (disk != result_.end()) disk->action = action;
  }

  hypervisor::Connection& connection_;
  const std::string& uuid_;
  BackupPlan& plan_;
  const StorePlan& store_;
  Progress& progress_;
  std::stop_token stop_;
  MergeRounds rounds_;
  std::vector<ReturnedDisk> result_;
  std::vector<PlannedDisk*> detached_;  // which the domain has no longer
};

}  // namespace

void end_capture(hypervisor::Connection& connection, const std::string& domain_uuid, const BackupPlan& plan) {
  if (!connection.has_domain(domain_uuid)) return;
  Domain domain = connection.domain(domain_uuid);
  if (!plan.memory_file.empty() && std::filesystem::exists(plan.memory_file)) hypervisor::end_memory_job(domain);
  if (plan.max_downtime.count() > 0) hypervisor::put_back_max_downtime(domain, plan.max_downtime);
  if (!plan.disks.empty()) domain.wait_for_calls_under_way(plan.disks.front().target);
}

void remove_memory(const BackupPlan& plan) {
  std::error_code failure;
  if (!plan.memory_file.empty()) std::filesystem::remove(plan.memory_file, failure);
  if (failure) base::fail_errno(failure.value(), "remove '" + plan.memory_file.string() + "'");
}

std::vector<ReturnedDisk> return_to_bases(hypervisor::Connection& connection, const std::string& domain_uuid,
                                          BackupPlan& plan, const StorePlan& store, Progress& progress,
                                          std::stop_token stop) {
  return Return(connection, domain_uuid, plan, store, progress, std::move(stop)).run();
}

}  // namespace icecore::job
