// SPDX-License-Identifier: Apache-2.0
// Block devices as places to write to: their size, and the kernel's word that nobody else has them.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/handle.hpp"

namespace icecore::disk {

// Open for writing and claimed: until it is closed the device cannot be mounted, swapped to, or taken by LVM, an array
// or a mapping. Fault::busy when it (or a partition of it) is; denied when it is read-only. A domain that
// uses the device does not claim it and is not found here.
base::Fd claim_device(const std::filesystem::path& device);

std::uint64_t device_size(const std::filesystem::path& device);

// Makes [from, to) of the device read as zeros, by the device's own means where it has any.
void zero_device(int device, std::uint64_t from, std::uint64_t to);

}  // namespace icecore::disk
