// SPDX-License-Identifier: Apache-2.0
// The memory of a restore point: a file that libvirt saved, stored thin where it is understood, and as it is otherwise.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "repository/block_writer.hpp"
#include "repository/manifest.hpp"

namespace icecore::job {

// Kinds of blobs. Either the first two, or the last.
inline constexpr const char* k_memory_blob = "memory";              // the guest's RAM, in order of address
inline constexpr const char* k_memory_state_blob = "memory-state";  // all else of the save file
inline constexpr const char* k_memory_file_blob = "memory-file";    // the save file as libvirt wrote it

struct StoredMemory {
  std::vector<repository::ManifestBlob> blobs;
  std::uint64_t bytes_read = 0;
  std::string note;  // why it is not thin; empty: it is
};

// What was stored is only sure after writer.finish(). `on_bytes` is called from worker threads, one at a time, with the
// bytes read so far. Before anything is stored thin, the file a restore would make of it is proved to be the same
// memory.
StoredMemory store_memory(repository::BlockWriter& writer, const std::filesystem::path& file,
                          const std::function<void(std::uint64_t)>& on_bytes, const std::stop_token& stop);

// Whether the point has a memory, and bytes of it.
bool has_memory(const repository::Manifest& manifest) noexcept;

}  // namespace icecore::job
