// SPDX-License-Identifier: Apache-2.0
// Where a disk's overlay lies, and what room the guest has there for what it writes during a backup.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <utility>

#include "hypervisor/domain_model.hpp"
#include "job/backup.hpp"

namespace icecore::job {

// The disk's image is a block device, by whatever the XML names it.
bool is_device(const hypervisor::DiskModel& disk);

// As the options say, else beside the base. Fault::usage for a device without a folder to go to (beside it would be in
// /dev, which is memory), not_found when there is no such folder.
std::filesystem::path overlay_folder_of(const hypervisor::DiskModel& disk, const BackupOptions& options);

// Fault::no_space when less than `share_min` of the file system is free.
void require_room(const std::string& target, const std::filesystem::path& folder, double share_min);

// What an overlay takes when the guest writes its whole disk anew: that, and qcow2's tables.
std::uint64_t overlay_bytes_max(std::uint64_t virtual_size);

// The device number of the file system that holds it. Throws as errno tells.
dev_t file_system_of(const std::filesystem::path& folder);

// Bytes free for an ordinary user on the file system of `folder`, and their share of the whole.
std::pair<std::uint64_t, double> free_space(const std::filesystem::path& folder);

// Those of them that may be used when `share_min` of the file system stays free.
std::uint64_t usable_space(const std::filesystem::path& folder, double share_min);

}  // namespace icecore::job
