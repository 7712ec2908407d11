// SPDX-License-Identifier: Apache-2.0
#include "job/memory_store.hpp"

#include <algorithm>
#include <optional>

#include "base/error.hpp"
#include "job/blob.hpp"
#include "job/capture.hpp"
#include "memory/prove.hpp"
#include "memory/saved_memory.hpp"
#include "memory/window_source.hpp"

namespace icecore::job {

using base::Fault;
using repository::ManifestBlob;

namespace {

// Nothing when the file is not of a kind that we understand; `note` says why.
std::optional<memory::SavedMemory> understand(const std::filesystem::path& file, std::string& note,
                                              const std::stop_token& stop) {
  try {
    std::optional<memory::SavedMemory> saved(file);
    memory::prove(*saved, stop);
    return saved;
  } catch (const base::Error& error) {
    if (error.fault() != Fault::corrupt) throw;
    note = fmt::format("the memory is stored as one file, which takes more room: {}", error.what());
    return std::nullopt;
  }
}

ManifestBlob store_pages(repository::BlockWriter& writer, const memory::SavedMemory& saved,
                         const std::filesystem::path& file, const std::function<void(std::uint64_t)>& on_bytes,
                         const std::stop_token& stop) {
  const std::size_t block_bytes = writer.repository().config().block_bytes;
  memory::WindowSource source(saved.state().image_bytes(), block_bytes, [&](std::uint64_t offset, base::ByteSpan out) {
    return saved.read(offset, out, block_bytes);
  });
  const Captured captured = capture_disk(source, writer, on_bytes, stop);
  ManifestBlob blob;
  blob.kind = k_memory_blob;
  blob.path = file.string();
  blob.size = source.size();
  blob.image = captured.root;
  return blob;
}

}  // namespace

StoredMemory store_memory(repository::BlockWriter& writer, const std::filesystem::path& file,
                          const std::function<void(std::uint64_t)>& on_bytes, const std::stop_token& stop) {
  StoredMemory stored;
  stored.bytes_read = std::filesystem::file_size(file);
  const std::optional<memory::SavedMemory> saved = understand(file, stored.note, stop);
  if (!saved) {
    stored.blobs.push_back(store_file(writer, k_memory_file_blob, file, on_bytes, stop));
    return stored;
  }
  stored.blobs.push_back(store_pages(writer, *saved, file, on_bytes, stop));
  stored.blobs.push_back(store_blob(writer, k_memory_state_blob,
                                    {.path = file, .bytes = memory::encode_state(saved->state()), .owner = {}}));
  return stored;
}

bool has_memory(const repository::Manifest& manifest) noexcept {
  return std::any_of(manifest.blobs.begin(), manifest.blobs.end(), [](const ManifestBlob& blob) {
    return blob.kind == k_memory_blob || blob.kind == k_memory_file_blob;
  });
}

}  // namespace icecore::job
