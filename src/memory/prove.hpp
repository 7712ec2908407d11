// SPDX-License-Identifier: Apache-2.0
// The proof that what is stored of a save file gives the guest the same memory: the file that a restore will write is
// made here, from the file that we have, and parsed as QEMU will.
#pragma once

#include <filesystem>
#include <stop_token>

#include "memory/saved_memory.hpp"

namespace icecore::memory {

// Fault::corrupt when the rebuilt file would differ in any page, block or byte of the rest. Reads the file once.
void prove(const SavedMemory& memory, const std::stop_token& stop);

// Fault::corrupt unless the file holds every page that the state names, with the contents it was made with.
void verify_save_file(const std::filesystem::path& path, const MemoryState& state);

}  // namespace icecore::memory
