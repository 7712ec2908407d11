// SPDX-License-Identifier: Apache-2.0
// What a block device is beyond its name: /dev/sdb, /dev/dm-3 or /dev/loop0 may be another one after the next boot.
#pragma once

#include <filesystem>
#include <string>

namespace icecore::disk {

// As the kernel knows it: the mapping's UUID (LVM, multipath), the world wide name, the file behind a loop device; of a
// partition, its disk's and its number. Empty for a file, and for a device the kernel knows no more about.
std::string device_identity(const std::filesystem::path& path);

// Two names of one file, or of one device (which std::filesystem::equivalent() cannot tell). False when either is gone.
bool is_same_image(const std::filesystem::path& one, const std::filesystem::path& other);

}  // namespace icecore::disk
