// SPDX-License-Identifier: Apache-2.0
#include "job/overlay_age.hpp"

#include <algorithm>

#include "disk/device_identity.hpp"
#include "disk/image.hpp"

namespace icecore::job {

bool has_moved_on(const hypervisor::ImageSource& now, const PlannedDisk& disk) {
  const std::filesystem::path& below = std::filesystem::exists(disk.base_path) ? disk.base_path : disk.home.path;
  if (std::filesystem::exists(disk.overlay_path) || below.empty()) return false;
  if (!std::filesystem::exists(now.path) || disk::is_same_image(now.path, disk.base_path)) return false;
  const std::vector<disk::ImageInfo> chain = disk::inspect_chain(now.path, now.format);
  return std::any_of(chain.begin(), chain.end(),
                     [&](const disk::ImageInfo& image) { return disk::is_same_image(image.path, below); });
}

bool may_be_out_of_date(const hypervisor::DomainModel& model, const PlannedDisk& disk) {
  const hypervisor::DiskModel* now = model.find_disk(disk.target);
  return disk.merge == MergeState::ending && now != nullptr && now->backing.empty();
}

}  // namespace icecore::job
