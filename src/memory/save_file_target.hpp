// SPDX-License-Identifier: Apache-2.0
// Where the parts of a restored memory go, behind the face of a disk: the RAM image into a save file as libvirt reads
// it, and small things into memory.
#pragma once

#include <filesystem>
#include <memory>

#include "disk/disk_target.hpp"
#include "memory/memory_state.hpp"

namespace icecore::memory {

// A new file, readable by its owner only, that is complete after finish(). It is not made durable: a restore that dies
// begins again. Fault::conflict when the path exists. `state` outlives the target.
std::unique_ptr<disk::DiskTarget> open_save_file(const std::filesystem::path& path, const MemoryState& state,
                                                 unsigned writers);
// Into `out`, which has the image's size and is zero; outlives the target.
std::unique_ptr<disk::DiskTarget> open_buffer(base::ByteSpan out, unsigned writers);

}  // namespace icecore::memory
