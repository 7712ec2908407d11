// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/layer_commit.hpp"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <algorithm>
#include <vector>

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "hypervisor/commit_watch.hpp"
#include "hypervisor/libvirt_worker.hpp"

namespace icecore::hypervisor {

namespace {

using base::Fault;

struct LayerRun {
  const LayerDisk* disk = nullptr;
  LayerPlace place = LayerPlace::elsewhere;
  bool has_job = false;
  int starts = 0;
};

std::string image_name(const std::string& target, const ImageSource& image) {
  return image.index == 0 ? image.path : fmt::format("{}[{}]", target, image.index);
}

class LayerCommit {
 public:
  LayerCommit(Domain& domain, std::span<const LayerDisk> disks, const CommitOptions& options, std::stop_token stop,
              const CommitProgress& progress)
      : domain_(domain),
        options_(options),
        stop_(std::move(stop)),
        worker_(domain, options.helper),
        watch_(fmt::format("merging the layers of domain '{}'", domain.name()), options.stall_deadline, progress) {
    for (const LayerDisk& disk : disks) runs_.push_back({.disk = &disk});
  }

  CommitOutcome run() {
    while (true) {
      if (!look()) return CommitOutcome::domain_stopped;
      if (merged() == runs_.size()) return CommitOutcome::committed;
      step();
    }
  }

 private:
  // Asks for jobs, then reads the truth, in this order: a layer that the XML still shows, and no job before, has none.
  // False when the domain no longer runs.
  bool look() {
    domain_.connection().listen();  // so that what happens after this look is not waited for in vain
    if (!domain_.active()) return false;
    ask_for_jobs();
    model_ = domain_.model();
    for (LayerRun& run : runs_) {
      run.place = layer_place_of(model_, *run.disk);
      if (run.place != LayerPlace::elsewhere) continue;
      // A domain that stopped between the two questions shows its persistent XML.
      if (!domain_.active()) return false;
      base::fail(Fault::conflict, "cannot merge the layer '{}' of disk {} of domain '{}' into '{}': {}",
                 run.disk->layer_path, run.disk->target, domain_.name(), run.disk->base_path,
                 describe_place(model_, run.disk->target));
    }
    return true;
  }

  // libvirt tells of a job until its own XML shows the end of it. Without an answer there may be one.
  void ask_for_jobs() {
    sum_ = {};
    for (LayerRun& run : runs_) {
      if (run.place == LayerPlace::merged) continue;
      const CallResult job = worker_.block_job(run.disk->target, options_.call_deadline);
      run.has_job = !job.ok || job.has_job;
      sum_.done += job.progress.done;
      sum_.total += job.progress.total;
    }
  }

  void step() {
    if (stop_.stop_requested())
      base::fail(Fault::cancelled, "merging the layers of domain '{}' was interrupted", domain_.name());
    for (LayerRun& run : runs_) {
      if (run.place == LayerPlace::on_layer && !run.has_job) start(run);
    }
    watch_.look(sum_, merged());
    domain_.connection().wait_for_event(options_.poll, stop_);
  }

  void start(LayerRun& run) {
    count_start(run.starts,
                fmt::format("merging the layer of disk {} of domain '{}' into '{}'", run.disk->target, domain_.name(),
                            run.disk->base_path),
                domain_.name());
    // By their numbers in the XML just read, so never a path that could mean another image; SHALLOW makes libvirt
    // refuse any base but the direct one. Without ACTIVE the job ends by itself, and the guest's image stays the top.
    const DiskModel& disk = *model_.find_disk(run.disk->target);
    constexpr unsigned k_flags = VIR_DOMAIN_BLOCK_COMMIT_SHALLOW | VIR_DOMAIN_BLOCK_COMMIT_BANDWIDTH_BYTES;
    const CallResult result = worker_.commit(disk.target, image_name(disk.target, disk.backing.at(1)),
                                             image_name(disk.target, disk.backing.at(0)), options_.bandwidth_bytes,
                                             k_flags, options_.call_deadline);
    base::failpoint("layer.commit_begun");
    if (result.ok || result.connection_lost() || !domain_.active()) return;
    if (result.code == VIR_ERR_BLOCK_COPY_ACTIVE) return;
    result.check(fmt::format("merging the layer of disk {} of domain '{}'", disk.target, domain_.name()));
  }

  std::size_t merged() const {
    return static_cast<std::size_t>(
        std::count_if(runs_.begin(), runs_.end(), [](const LayerRun& run) { return run.place == LayerPlace::merged; }));
  }

  Domain& domain_;
  const CommitOptions& options_;
  std::stop_token stop_;
  LibvirtWorker worker_;
  CommitWatch watch_;
  std::vector<LayerRun> runs_;
  DomainModel model_;
  BlockJobProgress sum_;  // of the jobs that run
};

}  // namespace

LayerPlace layer_place_of(const DomainModel& model, const LayerDisk& disk) {
  const DiskModel* now = model.find_disk(disk.target);
  if (now == nullptr || now->mirror || now->source.path != disk.active_path || now->backing.empty())
    return LayerPlace::elsewhere;
  const ImageSource& below = now->backing.front();
  if (below.path == disk.base_path) return LayerPlace::merged;
  const bool known = below.path == disk.layer_path && now->backing.size() > 1;
  return known && now->backing[1].path == disk.base_path ? LayerPlace::on_layer : LayerPlace::elsewhere;
}

CommitOutcome commit_layers(Domain& domain, std::span<const LayerDisk> disks, const CommitOptions& options,
                            std::stop_token stop, const CommitProgress& progress) {
  if (!domain.active()) return CommitOutcome::domain_stopped;
  return LayerCommit(domain, disks, options, std::move(stop), progress).run();
}

}  // namespace icecore::hypervisor
