// SPDX-License-Identifier: Apache-2.0
#include "job/overlay_place.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <system_error>

#include "base/bytes.hpp"
#include "base/error.hpp"

namespace icecore::job {

using base::Fault;
namespace fs = std::filesystem;

namespace {

fs::path configured_folder(const hypervisor::DiskModel& disk, const BackupOptions& options) {
  if (!options.overlay_folder.empty()) return options.overlay_folder;
  if (!is_device(disk)) return fs::path(disk.source.path).parent_path();
  if (!options.device_overlay_folder.empty()) return options.device_overlay_folder;
  base::Error error(Fault::usage, fmt::format("disk '{}' is the block device '{}', beside which no overlay can lie",
                                              disk.target, disk.source.path));
  throw error.add_hint(
      "name a folder for what the guest writes meanwhile: --device-overlay-dir DIR, ICECORE_DEVICE_OVERLAY_DIR, or "
      "<overlay device-folder=\"DIR\"/> in the policy");
}

fs::space_info space_of(const fs::path& folder) {
  std::error_code failure;
  const fs::space_info space = fs::space(folder, failure);
  if (failure) base::fail_errno(failure.value(), "free space of '" + folder.string() + "'");
  return space;
}

}  // namespace

bool is_device(const hypervisor::DiskModel& disk) {
  std::error_code ignored;
  return disk.source.kind == hypervisor::SourceKind::block || fs::is_block_file(disk.source.path, ignored);
}

fs::path overlay_folder_of(const hypervisor::DiskModel& disk, const BackupOptions& options) {
  const fs::path folder = fs::absolute(configured_folder(disk, options));
  if (fs::is_directory(folder)) return folder;
  base::Error error(Fault::not_found, fmt::format("the folder '{}', for the overlay of disk '{}', does not exist",
                                                  folder.string(), disk.target));
  throw error.add_hint("make it, so that QEMU's user may enter it: mkdir -p -m 711");
}

void require_room(const std::string& target, const fs::path& folder, double share_min) {
  const auto [bytes, share] = free_space(folder);
  if (share >= share_min) return;
  base::Error error(
      Fault::no_space,
      fmt::format("disk '{}': only {} ({:.0f} %) are free in '{}', where the guest's writes would go meanwhile", target,
                  base::format_size(bytes), share * 100, folder.string()));
  throw error.add_hint(
      "free some space there, or name another folder: --overlay-dir DIR, in a policy <overlay folder=\"DIR\"/>");
}

std::uint64_t overlay_bytes_max(std::uint64_t virtual_size) {
  // 8 bytes of mapping and 2 of reference count for each 64 KiB, and the first clusters.
  constexpr std::uint64_t k_share_of_tables = 6000;
  return virtual_size + virtual_size / k_share_of_tables + base::k_mib;
}

dev_t file_system_of(const fs::path& folder) {
  struct stat found {};
  if (::stat(folder.c_str(), &found) != 0) base::fail_errno(errno, "look at '" + folder.string() + "'");
  return found.st_dev;
}

std::pair<std::uint64_t, double> free_space(const fs::path& folder) {
  const fs::space_info space = space_of(folder);
  return {space.available,
          space.capacity == 0 ? 0.0 : static_cast<double>(space.available) / static_cast<double>(space.capacity)};
}

std::uint64_t usable_space(const fs::path& folder, double share_min) {
  const fs::space_info space = space_of(folder);
  const auto kept = static_cast<std::uint64_t>(static_cast<double>(space.capacity) * share_min);
  return space.available > kept ? space.available - kept : 0;
}

}  // namespace icecore::job
