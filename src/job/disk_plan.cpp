// SPDX-License-Identifier: Apache-2.0
#include "job/disk_plan.hpp"

#include <fmt/ranges.h>

#include "base/error.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/domain_edit.hpp"
#include "job/disk_choice.hpp"
#include "job/kept_layer.hpp"
#include "job/overlay_place.hpp"
#include "job/space_watch.hpp"

namespace icecore::job {

using base::Fault;
using hypervisor::DiskModel;

namespace {

// What virsh cannot say of a disk in words of its own is left to an editor.
std::string how_to_have_one_image(const DiskModel& now, const DiskModel* later, const std::string& domain) {
  const std::string name = base::shell_operand(domain);
  if (later != nullptr || !now.encryption.empty()) return fmt::format("bring both together with `virsh edit {}`", name);
  return fmt::format(
      "attach it for the next start too: `virsh attach-disk --config --targetbus {1} --subdriver {2} {0} {3} {4}`, or "
      "detach it: `virsh detach-disk --live {0} {4}`",
      name, base::shell_word(now.bus), base::shell_word(now.source.format), base::shell_word(now.source.path),
      base::shell_word(now.target));
}

// The next start must use the image in use now, else a crash in the window would lose what the guest wrote.
void require_same_next_start(const DiskModel& now, const hypervisor::DomainModel& next, const BackupOptions& options) {
  const DiskModel* later = next.find_disk(now.target);
  if (later != nullptr && later->source.path == now.source.path) return;
  const std::string then = later == nullptr ? "would be without it" : fmt::format("would use '{}'", later->source.path);
  base::Error error(Fault::conflict, fmt::format("disk '{}' runs on '{}' but the domain's next start {}", now.target,
                                                 now.source.path, then));
  // The memory fits nothing less than all disks.
  const bool may_be_left_out = options.full_state == FullState::off;
  throw error.add_hint(how_to_have_one_image(now, later, next.name) +
                       (may_be_left_out ? ", or " + how_to_leave_out(now.target) : ""));
}

void require_no_overlay_of_ours(const DiskModel& disk, const hypervisor::DomainModel& domain) {
  if (!is_our_overlay(disk.source.path, domain.uuid)) return;
  base::Error error(Fault::conflict, fmt::format("disk '{}' is on '{}', an overlay that an earlier backup left",
                                                 disk.target, disk.source.path));
  throw error.add_hint("icecore recover " + base::shell_operand(domain.name));
}

void plan_layer(DiskPlan& plan, const DiskModel& disk, const DomainView& domain, const BackupOptions& options,
                const std::string& job_id) {
  plan.layers = count_kept_layers(plan.chain, domain.now.uuid);
  if (plan.layers == plan.chain.size()) plan.layers = 0;  // over nothing: it is a disk of its own now
  if (plan.layers > 0) plan.planned.home = {.path = plan.home().path, .format = plan.home().format, .definition = {}};
  if (options.change_map != ChangeMap::layer || options.copy) return;
  plan.no_layer = no_layer_reason(disk, plan.chain, domain.now.uuid, domain.next_start == nullptr);
  if (!plan.no_layer.empty()) return;
  if (plan.layers > 0) {
    const WatchedFile layer{plan.planned.base_path, plan.home().path, plan.chain.front().virtual_size};
    require_room_to_merge(domain.now.name, disk.target, layer, options.overlay_free_share_min);
  }
  plan.planned.keeps_overlay = true;
  plan.planned.overlay_path.replace_filename(layer_name(domain.now.uuid, disk.target, job_id));
}

}  // namespace

DiskPlan plan_disk(const DiskModel& disk, const DomainView& domain, const BackupOptions& options,
                   const std::string& job_id) {
  if (domain.next_start != nullptr) require_same_next_start(disk, *domain.next_start, options);
  require_no_overlay_of_ours(disk, domain.now);
  const std::filesystem::path folder = overlay_folder_of(disk, options);
  DiskPlan plan{.planned = {.target = disk.target,
                            .format = disk.source.format,
                            .base_path = disk.source.path,
                            .overlay_path = folder / overlay_name(domain.now.uuid, disk.target, job_id)},
                .chain = disk::inspect_chain(disk.source.path, disk.source.format)};
  for (const disk::ImageInfo& layer : plan.chain) disk::expect_readable(layer, !disk.encryption.empty());
  plan.planned.chain = disk::fingerprint_of(plan.chain);
  plan_layer(plan, disk, domain, options, job_id);
  if (domain.next_start != nullptr)
    plan.planned.definition = hypervisor::image_definition(domain.inactive_xml, disk.target);
  require_room(disk.target, folder, options.overlay_free_share_min);
  return plan;
}

std::vector<std::string> notes_on_image(const std::string& target, const disk::ImageInfo& image) {
  // The file of an encrypted image is stored with all that is in it.
  if (image.internal_snapshots.empty() || image.encrypted) return {};
  return {fmt::format("disk '{}' has internal snapshots ({}), which are not in the backup: only its present state is",
                      target, fmt::join(image.internal_snapshots, ", "))};
}

}  // namespace icecore::job
