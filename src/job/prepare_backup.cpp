// SPDX-License-Identifier: Apache-2.0
#include "job/prepare_backup.hpp"

#include <algorithm>
#include <system_error>

#include "base/error.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/classify.hpp"
#include "hypervisor/domain_edit.hpp"
#include "hypervisor/snapshot.hpp"

namespace icecore::job {

using base::Fault;
using hypervisor::DiskModel;
using hypervisor::Verdict;

namespace {

bool named(const std::vector<std::string>& targets, const std::string& target) {
  return std::find(targets.begin(), targets.end(), target) != targets.end();
}

void require_known_targets(const hypervisor::DomainModel& model, const std::vector<std::string>& targets) {
  for (const std::string& target : targets) {
    if (model.find_disk(target) != nullptr) continue;
    base::Error error(Fault::usage, fmt::format("domain '{}' has no disk '{}'", model.name, target));
    throw error.add_hint(fmt::format("`virsh domblklist {}` shows its disks", base::shell_operand(model.name)));
  }
}

// True: back it up. False: skipped, and `reason` says why.
bool wants(const DiskModel& disk, bool running, const BackupOptions& options, std::string& reason) {
  if (named(options.exclude_disks, disk.target)) {
    reason = "left out by request";
    return false;
  }
  if (!options.include_disks.empty() && !named(options.include_disks, disk.target)) {
    reason = "not among the disks asked for";
    return false;
  }
  const hypervisor::DiskVerdict verdict = hypervisor::classify(disk, running);
  reason = verdict.reason;
  switch (verdict.verdict) {
    case Verdict::include: return true;
    case Verdict::skip: return false;
    case Verdict::busy: base::fail(Fault::busy, "disk '{}': {}", disk.target, reason);
    case Verdict::refuse: break;
  }
  base::Error error(Fault::conflict, fmt::format("disk '{}' cannot be backed up: {}", disk.target, reason));
  throw error.add_hint("leave it out with --exclude-disk " + base::shell_word(disk.target));
}

// The next start must use the image in use now, else a crash in the window would lose what the guest wrote.
void require_same_next_start(const DiskModel& now, const hypervisor::DomainModel& next) {
  const DiskModel* later = next.find_disk(now.target);
  if (later != nullptr && later->source.path == now.source.path) return;
  base::Error error(Fault::conflict,
                    fmt::format("disk '{}' runs on '{}' but the domain's next start would use '{}'", now.target,
                                now.source.path, later == nullptr ? "no such disk" : later->source.path));
  throw error.add_hint(
      fmt::format("bring both together with `virsh edit {}`, or exclude the disk", base::shell_operand(next.name)));
}

void require_no_overlay_of_ours(const DiskModel& disk, const std::string& domain_uuid) {
  if (!is_our_overlay(disk.source.path, domain_uuid)) return;
  base::Error error(Fault::conflict, fmt::format("disk '{}' is on '{}', an overlay that an earlier backup left",
                                                 disk.target, disk.source.path));
  throw error.add_hint("icecore recover");
}

// Beside a device would be in /dev, which is memory.
void require_place_for_overlay(const DiskModel& disk, const BackupOptions& options) {
  if (disk.source.kind != hypervisor::SourceKind::block || !options.overlay_folder.empty()) return;
  base::Error error(Fault::usage, fmt::format("disk '{}' is the block device '{}', beside which no overlay can lie",
                                              disk.target, disk.source.path));
  throw error.add_hint("name a folder for what the guest writes meanwhile: --overlay-dir DIR");
}

PlannedDisk plan_disk(const DiskModel& disk, const std::string& domain_uuid, const BackupOptions& options,
                      const std::string& job_id) {
  require_no_overlay_of_ours(disk, domain_uuid);
  require_place_for_overlay(disk, options);
  PlannedDisk planned;
  planned.target = disk.target;
  planned.format = disk.source.format;
  planned.base_path = disk.source.path;
  const std::filesystem::path folder =
      options.overlay_folder.empty() ? planned.base_path.parent_path() : options.overlay_folder;
  planned.overlay_path = folder / overlay_name(domain_uuid, disk.target, job_id);
  planned.chain = disk::fingerprint_chain(planned.base_path, planned.format);
  return planned;
}

void require_room(const PlannedDisk& disk, double share_min) {
  const std::filesystem::path folder = disk.overlay_path.parent_path();
  const auto [bytes, share] = free_space(folder);
  if (share >= share_min) return;
  base::Error error(
      Fault::no_space,
      fmt::format("disk '{}': only {} ({:.0f} %) are free in '{}', where the guest's writes would go meanwhile",
                  disk.target, base::format_size(bytes), share * 100, folder.string()));
  throw error.add_hint("free some space there, or name another folder with --overlay-dir");
}

}  // namespace

std::pair<std::uint64_t, double> free_space(const std::filesystem::path& folder) {
  std::error_code failure;
  const std::filesystem::space_info space = std::filesystem::space(folder, failure);
  if (failure) base::fail_errno(failure.value(), "free space of '" + folder.string() + "'");
  return {space.available,
          space.capacity == 0 ? 0.0 : static_cast<double>(space.available) / static_cast<double>(space.capacity)};
}

PreparedBackup prepare_backup(hypervisor::Domain& domain, const BackupOptions& options, const std::string& job_id) {
  hypervisor::refuse_managed_save(domain);
  PreparedBackup prepared;
  prepared.current_xml = domain.current_xml();
  prepared.model = domain.model_of(prepared.current_xml);
  prepared.plan.transient = !domain.persistent();
  if (!prepared.plan.transient) prepared.inactive_xml = domain.inactive_xml();
  require_known_targets(prepared.model, options.include_disks);
  require_known_targets(prepared.model, options.exclude_disks);

  const bool running = domain.active();
  const hypervisor::DomainModel next =
      prepared.plan.transient ? hypervisor::DomainModel{} : domain.model_of(prepared.inactive_xml);
  for (const DiskModel& disk : prepared.model.disks) {
    std::string reason;
    if (!wants(disk, running, options, reason)) {
      prepared.skipped.push_back({disk.target, reason});
      continue;
    }
    if (!prepared.plan.transient) require_same_next_start(disk, next);
    PlannedDisk planned = plan_disk(disk, prepared.model.uuid, options, job_id);
    if (!prepared.plan.transient) planned.definition = hypervisor::image_definition(prepared.inactive_xml, disk.target);
    require_room(planned, options.overlay_free_share_min);
    prepared.images.push_back(disk::inspect_image(planned.base_path, planned.format));
    prepared.plan.disks.push_back(planned);
  }
  if (prepared.plan.disks.empty()) {
    base::fail(Fault::usage, "domain '{}' has no disk to back up", prepared.model.name);
  }
  return prepared;
}

}  // namespace icecore::job
