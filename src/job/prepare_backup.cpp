// SPDX-License-Identifier: Apache-2.0
#include "job/prepare_backup.hpp"

#include <optional>

#include "base/error.hpp"
#include "hypervisor/snapshot.hpp"
#include "job/disk_choice.hpp"
#include "job/disk_plan.hpp"
#include "job/encrypted_disk.hpp"

namespace icecore::job {

using base::Fault;
using hypervisor::Verdict;

namespace {

// Where the image of the newest data is, and so what a killed QEMU left.
std::string disk_left_open(const PreparedBackup& prepared) {
  for (std::size_t i = 0; i < prepared.images.size(); ++i) {
    if (left_open(prepared.images[i])) return prepared.plan.disks[i].target;
  }
  return {};
}

void look_how_it_went_off(hypervisor::Domain& domain, const BackupOptions& options, PreparedBackup& prepared) {
  const hypervisor::ShutOff how = domain.how_shut_off();
  prepared.plan.saved_before = how == hypervisor::ShutOff::saved;
  prepared.off = consistency_when_off(how, disk_left_open(prepared));
  if (auto refused = refuse_off(how, *prepared.off, options)) throw std::move(*refused);
  if (prepared.off->consistency == repository::Consistency::crash) {
    prepared.notes.push_back("crash-consistent: " + prepared.off->reason);
  } else if (!prepared.off->known) {
    prepared.notes.push_back("taken for shut down in good order: " + prepared.off->reason);
  }
}

// One that was started a moment ago has its own QEMU.
void require_not_written(hypervisor::Domain& domain, const PreparedBackup& prepared) {
  for (std::size_t i = 0; i < prepared.images.size(); ++i) {
    auto refused = refuse_written(prepared.plan.disks[i].target, prepared.images[i].path);
    if (refused && !domain.active()) throw std::move(*refused);
  }
}

}  // namespace

PreparedBackup prepare_backup(hypervisor::Domain& domain, const BackupOptions& options, const std::string& job_id) {
  hypervisor::refuse_managed_save(domain);
  if (auto refused = hypervisor::refuse_suspended(domain.name(), domain.state())) throw std::move(*refused);
  PreparedBackup prepared;
  prepared.current_xml = domain.current_xml();
  prepared.model = domain.model_of(prepared.current_xml);
  prepared.plan.transient = !domain.persistent();
  std::optional<hypervisor::DomainModel> next;
  if (!prepared.plan.transient) {
    prepared.inactive_xml = domain.inactive_xml();
    next = domain.model_of(prepared.inactive_xml);
  }
  require_known_targets(prepared.model, options);

  const bool running = domain.active();
  const DomainView view{prepared.model, next ? &*next : nullptr, prepared.inactive_xml};
  for (const hypervisor::DiskModel& disk : prepared.model.disks) {
    const hypervisor::DiskVerdict verdict = choose_disk(disk, running, options);
    if (verdict.verdict == Verdict::skip) {
      prepared.skipped.push_back({disk.target, verdict.reason});
      continue;
    }
    if (verdict.verdict != Verdict::include) throw refusal(disk.target, verdict);
    DiskPlan plan = plan_disk(disk, view, options, job_id);
    plan_encryption(domain.connection(), disk, plan);
    if (!plan.no_layer.empty())
      prepared.notes.push_back(fmt::format("disk '{}' is given no layer, and read as with --change-map=auto: {}",
                                           disk.target, plan.no_layer));
    prepared.homes.push_back(plan.home());
    prepared.plan.disks.push_back(std::move(plan.planned));
    prepared.images.push_back(std::move(plan.chain.front()));
  }
  if (next) {
    for (const hypervisor::DiskModel* disk : only_at_next_start(prepared.model, *next, options))
      prepared.skipped.push_back({disk->target, k_only_at_next_start});
  }
  if (prepared.plan.disks.empty()) {
    base::fail(Fault::usage, "domain '{}' has no disk to back up", prepared.model.name);
  }
  if (!running) {
    look_how_it_went_off(domain, options, prepared);
    require_not_written(domain, prepared);
  }
  return prepared;
}

}  // namespace icecore::job
