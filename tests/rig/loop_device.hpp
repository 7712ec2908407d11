// SPDX-License-Identifier: Apache-2.0
// A block device that is a file: what an LVM volume or a partition is to QEMU and libvirt.
#pragma once

#include <filesystem>

#include "rig/undo.hpp"

namespace icecore::rig {

// Attaches `file` to a free loop device, detached again by `undo`; its path. Needs root.
std::filesystem::path attach_loop(Undo& undo, const std::filesystem::path& file);

}  // namespace icecore::rig
