// SPDX-License-Identifier: Apache-2.0
#include "job/layer_end.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/id.hpp"
#include "disk/image.hpp"
#include "disk/offline_commit.hpp"
#include "hypervisor/snapshot.hpp"
#include "job/base_use.hpp"
#include "job/disk_choice.hpp"
#include "job/job_steps.hpp"
#include "job/kept_layer.hpp"
#include "job/merge_checks.hpp"
#include "job/overlay_return.hpp"

namespace icecore::job {

using base::Fault;

namespace {

// More than this over each other is nothing we left.
constexpr int k_levels_max = 8;

bool named(const std::vector<std::string>& targets, const std::string& target) {
  return std::find(targets.begin(), targets.end(), target) != targets.end();
}

PlannedDisk plan_merge(const LayeredDisk& disk, Journal& journal, const std::string& uuid) {
  PlannedDisk planned{.target = disk.target,
                      .format = disk.home.format,
                      .base_path = disk.home.path,
                      .overlay_path = disk.layer,
                      .chain = disk::fingerprint_chain(disk.home.path, disk.home.format)};
  planned.definition = definition_of_home(journal, uuid, disk.layer, disk.home.path);
  planned.frozen_ns = last_written_ns(disk.home.path);
  return planned;
}

// Of the disks that a backup takes.
std::vector<LayeredDisk> layered_disks_taken(const hypervisor::DomainModel& model, bool active,
                                             const BackupOptions& options) {
  std::vector<LayeredDisk> disks = layered_disks(model);
  std::erase_if(disks, [&](const LayeredDisk& layered) {
    const hypervisor::DiskModel& disk = *model.find_disk(layered.target);
    return choose_disk(disk, active, options).verdict != hypervisor::Verdict::include;
  });
  return disks;
}

void require_not_saved_on(hypervisor::Domain& domain, const std::vector<LayeredDisk>& disks) {
  refuse_saved_on(domain, "layers", [&] {
    return std::any_of(disks.begin(), disks.end(), [](const LayeredDisk& disk) {
      return disk::was_written_to(disk.layer, disk.home.path, disk.home.format);
    });
  });
}

// One level of each disk, in a job of its own.
void merge_level(const JobContext& context, hypervisor::Domain& domain, const std::vector<LayeredDisk>& disks) {
  JobSteps steps(context.state_dir, "merge");
  JobRecord& record = steps.record();
  record.id = base::random_id(16);
  record.kind = JobKind::merge;
  record.domain_uuid = domain.uuid();
  record.domain_name = domain.name();
  record.created = base::now();
  BackupPlan plan;
  plan.connect_uri = domain.connection().uri();
  plan.transient = !domain.persistent();
  plan.snapshotted = true;  // the layers are there
  // Before the job, that is, and perhaps before the layers.
  plan.saved_before = domain.how_shut_off() == hypervisor::ShutOff::saved;
  for (const LayeredDisk& disk : disks) plan.disks.push_back(plan_merge(disk, steps.journal(), domain.uuid()));
  record.plan = to_json(plan);
  steps.begin();
  const StorePlan store = [&](const BackupPlan& learnt) { steps.store_plan(to_json(learnt)); };
  steps.step(JobState::committing, [] {});
  try {
    steps.step(JobState::committed, [&] {
      return_to_bases(domain.connection(), domain.uuid(), plan, store, context.progress, context.stop);
    });
  } catch (base::Error& error) {
    steps.journal().set_error(record, error.what());
    throw;
  }
  steps.reach(JobState::done);
}

}  // namespace

std::vector<LayeredDisk> layered_disks(const hypervisor::DomainModel& model) {
  std::vector<LayeredDisk> found;
  for (const hypervisor::DiskModel& disk : model.disks) {
    if (!is_kept_layer(disk.source.path, model.uuid)) continue;
    const std::vector<disk::ImageInfo> chain = disk::inspect_chain(disk.source.path, "qcow2");
    LayeredDisk layered{.target = disk.target, .layer = disk.source.path, .home = {}};
    layered.layers = count_kept_layers(chain, model.uuid);
    if (chain.size() == 1) {
      layered.obstacle = fmt::format("'{}' lies over nothing", disk.source.path);
    } else {
      layered.home = {.path = chain[1].path, .format = chain[1].format, .definition = {}};
      layered.obstacle = no_layer_reason(disk, chain, model.uuid, false);
    }
    found.push_back(std::move(layered));
  }
  return found;
}

std::vector<std::string> end_layers(const JobContext& context, hypervisor::Domain& domain,
                                    const std::vector<std::string>& targets) {
  std::vector<std::string> told;
  Journal journal(context.state_dir);
  for (int level = 0; level < k_levels_max; ++level) {
    std::vector<LayeredDisk> disks = layered_disks(domain.model());
    std::erase_if(disks, [&](const LayeredDisk& disk) { return !named(targets, disk.target); });
    for (LayeredDisk& disk : disks) {
      if (disk.obstacle.empty())
        disk.obstacle = strange_home(domain.connection(), journal, domain.uuid(), disk.layer, disk.home.path);
      if (!disk.obstacle.empty() && level == 0)
        told.push_back(fmt::format("disk '{}' stays on its layer: {}", disk.target, disk.obstacle));
    }
    std::erase_if(disks, [](const LayeredDisk& disk) { return !disk.obstacle.empty(); });
    if (disks.empty()) return told;
    merge_level(context, domain, disks);
    for (const LayeredDisk& disk : disks)
      told.push_back(fmt::format("disk '{}': its layer was merged into '{}'", disk.target, disk.home.path.string()));
  }
  base::fail(Fault::conflict, "the disks of domain '{}' are still on layers after {} merges", domain.name(),
             k_levels_max);
}

std::optional<base::Error> refuse_saved_on_layers(hypervisor::Domain& domain, const hypervisor::DomainModel& model,
                                                  const BackupOptions& options) {
  if (options.copy || domain.how_shut_off() != hypervisor::ShutOff::saved) return std::nullopt;
  if (domain.has_managed_save()) return std::nullopt;  // on layers or not, it is refused for that
  try {
    require_not_saved_on(domain, layered_disks_taken(model, false, options));
    return std::nullopt;
  } catch (base::Error& error) {
    return std::move(error);
  }
}

std::vector<std::string> end_layers_before_backup(const JobContext& context, hypervisor::Domain& domain,
                                                  const BackupOptions& options) {
  if (options.copy) return {};
  const std::vector<LayeredDisk> disks = layered_disks_taken(domain.model(), domain.active(), options);
  if (disks.empty()) return {};
  hypervisor::refuse_managed_save(domain);
  if (!domain.active()) require_not_saved_on(domain, disks);
  std::vector<std::string> targets;
  for (const LayeredDisk& layered : disks) {
    // One over another is what a merge that could not be finished left: the line begins anew.
    if (options.change_map == ChangeMap::layer && layered.layers == 1) continue;
    targets.push_back(layered.target);
  }
  if (targets.empty()) return {};
  if (auto refused = hypervisor::refuse_suspended(domain.name(), domain.state())) throw std::move(*refused);
  return end_layers(context, domain, targets);
}

}  // namespace icecore::job
