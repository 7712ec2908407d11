// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/overlay_disk.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace icecore::hypervisor {

std::string_view to_string(DiskPlace place) noexcept {
  switch (place) {
    case DiskPlace::on_base: return "on base";
    case DiskPlace::on_overlay: return "on overlay";
    case DiskPlace::committing: return "committing";
    case DiskPlace::elsewhere: return "elsewhere";
  }
  return "unknown";
}

bool chain_has(const DiskModel& disk, std::string_view path) noexcept {
  return disk.source.path == path || (disk.mirror && disk.mirror->image.path == path) ||
         std::any_of(disk.backing.begin(), disk.backing.end(), [&](const auto& image) { return image.path == path; });
}

DiskPlace place_of(const DomainModel& model, const OverlayDisk& disk) {
  const DiskModel* now = model.find_disk(disk.target);
  if (now == nullptr) return DiskPlace::elsewhere;
  if (now->source.path == disk.base_path) {
    // For a moment after the pivot libvirt shows the base as active and the ending job beside it.
    if (now->mirror && now->mirror->image.path == disk.base_path) return DiskPlace::committing;
    const bool at_rest = !now->mirror && !chain_has(*now, disk.overlay_path);
    return at_rest ? DiskPlace::on_base : DiskPlace::elsewhere;
  }
  if (now->source.path != disk.overlay_path) return DiskPlace::elsewhere;
  const bool base_below = now->backing.empty() ? !now->chain_known : now->backing.front().path == disk.base_path;
  if (!base_below) return DiskPlace::elsewhere;
  if (!now->mirror) return DiskPlace::on_overlay;
  // A commit that was cancelled and is just ending shows no job name any more.
  const bool is_commit = now->mirror->job == "active-commit" || now->mirror->job.empty();
  const bool ours = is_commit && now->mirror->image.path == disk.base_path;
  return ours ? DiskPlace::committing : DiskPlace::elsewhere;
}

std::string describe_place(const DomainModel& model, std::string_view target) {
  const DiskModel* disk = model.find_disk(target);
  if (disk == nullptr) return fmt::format("the domain has no disk '{}' any more", target);
  std::string text = fmt::format("{} is on '{}'", target, disk->source.path);
  for (const ImageSource& image : disk->backing) text += fmt::format(" over '{}'", image.path);
  if (disk->mirror) text += fmt::format(", with block job '{}' to '{}'", disk->mirror->job, disk->mirror->image.path);
  return text;
}

}  // namespace icecore::hypervisor
