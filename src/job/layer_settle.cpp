// SPDX-License-Identifier: Apache-2.0
#include "job/layer_settle.hpp"

#include <algorithm>
#include <functional>
#include <system_error>
#include <utility>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/shell_word.hpp"
#include "disk/device_identity.hpp"
#include "disk/image.hpp"
#include "disk/offline_commit.hpp"
#include "disk/rebase.hpp"
#include "hypervisor/block_commit.hpp"
#include "hypervisor/domain_edit.hpp"
#include "hypervisor/durable_definition.hpp"
#include "hypervisor/layer_commit.hpp"
#include "job/base_growth.hpp"
#include "job/base_use.hpp"
#include "job/io_error.hpp"
#include "job/merge_checks.hpp"
#include "job/merge_rounds.hpp"

namespace icecore::job {

using base::Fault;
using hypervisor::Domain;
using hypervisor::LayerDisk;

namespace {

constexpr base::Milliseconds k_offline_deadline = std::chrono::hours(24);

LayerDisk to_layer(const PlannedDisk& disk) {
  return {.target = disk.target,
          .active_path = disk.overlay_path.string(),
          .layer_path = disk.base_path.string(),
          .base_path = disk.home.path.string()};
}

MergePair to_pair(const PlannedDisk& disk) { return {disk.target, disk.base_path, disk.home.path, disk.home.format}; }

class LayerMerge {
 public:
  // `begin` is told before the first write into a home. `saved_before` as in the plan.
  LayerMerge(hypervisor::Connection& connection, const std::string& uuid, std::vector<PlannedDisk> disks,
             bool saved_before, std::function<void()> begin, Progress& progress, std::stop_token stop)
      : connection_(connection),
        uuid_(uuid),
        disks_(std::move(disks)),
        saved_before_(saved_before),
        begin_(std::move(begin)),
        progress_(progress),
        stop_(stop),
        rounds_(connection, std::move(stop)) {}

  void run() {
    // A layer's file is unlinked last of all: without it there is nothing left to do.
    std::erase_if(disks_, [](const PlannedDisk& disk) { return !std::filesystem::exists(disk.base_path); });
    rounds_.run("layers", [this] { return one_round(); });
    unlink_layers();
    if (!disks_.empty()) resume_after_io_error(connection_, uuid_, progress_);
  }

 private:
  // True when no disk's chain has the layer any more.
  bool one_round() {
    if (disks_.empty()) return true;
    for (const PlannedDisk& disk : disks_) expect_room_in_device(to_pair(disk));
    base::failpoint("layer.before_commit");
    if (!connection_.has_domain(uuid_)) {
      for (const PlannedDisk& disk : disks_) require_not_parted(disk);
      return merge_all_files();
    }
    Domain domain = connection_.domain(uuid_);
    return domain.active() ? merge_live(domain) : merge_offline(domain);
  }

  bool merge_live(Domain& domain) {
    std::vector<LayerDisk> layers;
    begin();
    for (const PlannedDisk& disk : disks_) {
      if (!let_live_base_grow(to_pair(disk), domain)) return false;
      layers.push_back(to_layer(disk));
    }
    const hypervisor::CommitOutcome outcome =
        hypervisor::commit_layers(domain, layers, {}, stop_, [&](std::uint64_t done, std::uint64_t total) {
          progress_.transfer({.bytes_total = total, .bytes_done = done});
        });
    if (outcome != hypervisor::CommitOutcome::committed) return false;
    base::failpoint("layer.committed_live");
    return forget_layers(domain);
  }

  bool merge_offline(Domain& domain) {
    hypervisor::refuse_migrated(domain, "layers");
    refuse_saved_on(domain, "layers", [&] { return ran_on_overlays(); });
    const hypervisor::DomainModel model = domain.inactive_model();
    for (const PlannedDisk& disk : disks_) {
      const hypervisor::DiskModel* now = model.find_disk(disk.target);
      if (now == nullptr || now->source.path != disk.overlay_path) fail_elsewhere(model, disk);
    }
    return merge_all_files() && !domain.active() && forget_layers(domain) && !domain.active();
  }

  // Whether it had run on the layer below was asked before the backup.
  bool ran_on_overlays() const {
    return !saved_before_ || std::any_of(disks_.begin(), disks_.end(), [&](const PlannedDisk& disk) {
      return disk::was_written_to(disk.overlay_path, disk.base_path, "qcow2", stop_);
    });
  }

  // Nothing but the files tells what became of a domain that is gone: another one may have begun on its home.
  void require_not_parted(const PlannedDisk& disk) const {
    if (lies_over(disk, disk.home.path)) return;
    for (const auto& image : {disk.overlay_path, disk.base_path}) require_image_unused(connection_, image, uuid_);
    if (!home_was_used(connection_, disk)) return;
    base::Error error(
        Fault::conflict,
        fmt::format("disk '{}': the domain is gone, and '{}' is in use by another or was written to since "
                    "the snapshot, so that its layers '{}' and '{}' do not fit it any more",
                    disk.target, disk.home.path.string(), disk.base_path.string(), disk.overlay_path.string()));
    throw error.add_hint(
        fmt::format("take from the layers what is needed, remove them, and run `icecore recover {} --close`", uuid_));
  }

  void begin() {
    for (PlannedDisk& disk : disks_) disk.merge = MergeState::begun;
    begin_();
  }

  bool merge_all_files() {
    begin();
    return std::all_of(disks_.begin(), disks_.end(), [&](const PlannedDisk& disk) { return merge_files(disk); });
  }

  // First the content, then the name: between the two, and after a start in between, the guest sees the same. False: a
  // domain has the files open, so look again.
  bool merge_files(const PlannedDisk& disk) {
    if (lies_over(disk, disk.home.path)) return true;
    if (!lies_over(disk, disk.base_path)) fail_strange_chain(disk);
    expect_known_chain(disk);
    const auto merge = [&] {
      let_base_grow(to_pair(disk));
      disk::commit_offline(disk.base_path, disk.home.path, disk.home.format, k_offline_deadline, stop_);
      base::failpoint("layer.committed_offline");
      disk::rebase_onto(disk.overlay_path, disk.home.path, disk.home.format);
      base::failpoint("layer.rebased");
    };
    return rounds_.merge_unless_in_use(merge);
  }

  // The persistent definition may still spell out the chain as it was at the snapshot.
  bool forget_layers(Domain& domain) {
    if (!domain.persistent()) return true;
    for (const PlannedDisk& disk : disks_) {
      const hypervisor::DomainModel model = domain.inactive_model();
      const hypervisor::DiskModel* now = model.find_disk(disk.target);
      if (now == nullptr || !hypervisor::chain_has(*now, disk.base_path.string())) continue;
      if (now->source.path != disk.overlay_path) fail_elsewhere(model, disk);
      hypervisor::redefine_disk_source(domain, disk.target, disk.overlay_path.string(), "qcow2");
    }
    return true;
  }

  // Only reached when live and persistent XML name the layer no more; the overlay's own word is the last one.
  void unlink_layers() {
    base::failpoint("layer.before_unlink");
    if (!disks_.empty()) hypervisor::make_definition_durable(connection_, uuid_);  // it may still spell them out
    for (const PlannedDisk& disk : disks_) {
      if (!lies_over(disk, disk.home.path)) fail_strange_chain(disk);
      std::error_code failure;
      std::filesystem::remove(disk.base_path, failure);
      if (failure) base::fail_errno(failure.value(), "remove the merged layer '" + disk.base_path.string() + "'");
      base::sync_folder(disk.base_path.parent_path());
    }
    base::failpoint("layer.unlinked");
  }

  static bool lies_over(const PlannedDisk& disk, const std::filesystem::path& image) {
    const disk::ImageInfo overlay = disk::inspect_image(disk.overlay_path, "qcow2");
    return overlay.backing && disk::is_same_image(*overlay.backing, image);
  }

  // A home that was grown when an earlier merge was cut short is as large as the layer.
  static void expect_known_chain(const PlannedDisk& disk) {
    disk::ChainFingerprint known = disk.chain;
    const disk::ChainFingerprint now = disk::fingerprint_chain(disk.base_path, "qcow2");
    if (known.size() > 1 && now.size() > 1 && now[1].virtual_size == now[0].virtual_size)
      known[1].virtual_size = now[1].virtual_size;
    disk::expect_same_chain(known, now);
  }

  [[noreturn]] static void fail_elsewhere(const hypervisor::DomainModel& model, const PlannedDisk& disk) {
    const hypervisor::DiskModel* now = model.find_disk(disk.target);
    base::Error error(Fault::conflict,
                      fmt::format("disk '{}' is on '{}', not on the layer '{}' that the backup left it on", disk.target,
                                  now == nullptr ? "no such disk" : now->source.path, disk.overlay_path.string()));
    throw error.add_hint(fmt::format(
        "somebody changed the chain; `virsh dumpxml {}` shows it. Where '{}' is merged or of no use, remove it",
        base::shell_operand(model.name), disk.base_path.string()));
  }

  [[noreturn]] static void fail_strange_chain(const PlannedDisk& disk) {
    base::Error error(Fault::conflict,
                      fmt::format("'{}' lies neither over the layer '{}' nor over '{}'", disk.overlay_path.string(),
                                  disk.base_path.string(), disk.home.path.string()));
    throw error.add_hint("somebody changed the chain; `qemu-img info --backing-chain` shows it");
  }

  hypervisor::Connection& connection_;
  const std::string& uuid_;
  std::vector<PlannedDisk> disks_;
  bool saved_before_;
  std::function<void()> begin_;
  Progress& progress_;
  std::stop_token stop_;
  MergeRounds rounds_;
};

// What is learnt of the disks that return is a fact of the plan with all its disks.
StorePlan store_whole(BackupPlan& plan, const StorePlan& store) {
  return [&plan, &store](const BackupPlan& learnt) {
    for (const PlannedDisk& disk : learnt.disks) {
      const auto of_plan = std::find_if(plan.disks.begin(), plan.disks.end(),
                                        [&](const PlannedDisk& known) { return known.target == disk.target; });
      of_plan->merge = disk.merge;
    }
    if (store) store(plan);
  };
}

bool is_over_layer(const PlannedDisk& disk) { return disk.keeps_overlay && !disk.home.path.empty(); }

// A home may be half merged from now on.
std::function<void()> remember_begun(BackupPlan& plan, const StorePlan& store) {
  return [&plan, &store] {
    bool news = false;
    for (PlannedDisk& disk : plan.disks) {
      if (is_over_layer(disk)) news = std::exchange(disk.merge, MergeState::begun) != MergeState::begun || news;
    }
    if (news && store) store(plan);
  };
}

// Who writes below a layer from now on makes it tell less than has changed. True when there are any layers.
bool note_left_homes(BackupPlan& plan) {
  bool any = false;
  for (PlannedDisk& disk : plan.disks) {
    if (!disk.keeps_overlay) continue;
    any = true;
    if (disk.home.path.empty()) continue;  // as it was at the instant, since when nobody had business with it
    disk.frozen_ns = std::filesystem::exists(disk.home.path) ? last_written_ns(disk.home.path) : 0;
  }
  return any;
}

}  // namespace

std::vector<ReturnedDisk> settle_overlays(hypervisor::Connection& connection, const std::string& domain_uuid,
                                          BackupPlan& plan, const StorePlan& store, Progress& progress,
                                          std::stop_token stop) {
  BackupPlan returning = plan;
  std::erase_if(returning.disks, [](const PlannedDisk& disk) { return disk.keeps_overlay; });
  std::vector<ReturnedDisk> result;
  if (!returning.disks.empty() || !plan.memory_file.empty())
    result = return_to_bases(connection, domain_uuid, returning, store_whole(plan, store), progress, stop);
  std::vector<PlannedDisk> over_layers;
  for (const PlannedDisk& disk : plan.disks) {
    if (!disk.keeps_overlay) continue;
    if (is_over_layer(disk)) over_layers.push_back(disk);
    result.push_back(
        {disk.target, is_over_layer(disk) ? "keeps its new layer, the one before is merged" : "keeps its layer"});
  }
  LayerMerge(connection, domain_uuid, std::move(over_layers), plan.saved_before, remember_begun(plan, store), progress,
             std::move(stop))
      .run();
  if (note_left_homes(plan) && store) store(plan);
  return result;
}

}  // namespace icecore::job
