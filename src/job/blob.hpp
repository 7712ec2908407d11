// SPDX-License-Identifier: Apache-2.0
// Files of a domain that are no disks (NVRAM, TPM state, kernel, memory): each is stored as an image of its own in the
// repository, zero blocks and known blocks for nothing, and written back as it was.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "job/file_owner.hpp"
#include "repository/block_writer.hpp"
#include "repository/manifest.hpp"

namespace icecore::job {

// A small file, read at once.
struct FileCopy {
  std::filesystem::path path;
  base::Bytes bytes;
  FileOwner owner;
  bool operator==(const FileCopy&) const = default;
};

constexpr std::uint64_t k_file_copy_bytes_max = 256 * base::k_mib;

// Fault::not_found, denied; corrupt when it is larger than k_file_copy_bytes_max.
FileCopy copy_file(const std::filesystem::path& path);
// The regular files of a folder, not those below it nor hidden ones, by name. Empty when there is no such folder.
std::vector<FileCopy> copy_folder(const std::filesystem::path& folder);

// Both: what was stored is only sure after writer.finish().
repository::ManifestBlob store_blob(repository::BlockWriter& writer, std::string kind, const FileCopy& file);
// A file of any size, a few MiB of memory. `on_bytes` is called now and then with the bytes read so far.
// Fault::conflict when the file shrinks while it is read, Fault::cancelled on stop.
repository::ManifestBlob store_file(repository::BlockWriter& writer, std::string kind,
                                    const std::filesystem::path& path,
                                    const std::function<void(std::uint64_t)>& on_bytes, const std::stop_token& stop);

// Writes the blob to a new file, zero blocks as holes, with mode and owner as recorded; it is durable when this
// returns, and on failure there is none. `lost` blocks read as zeroes. Fault::conflict when the file exists, corrupt,
// cancelled.
void restore_blob(repository::Repository& repository, const repository::ManifestBlob& blob,
                  const std::vector<repository::BlockRange>& lost, const std::filesystem::path& path,
                  const std::stop_token& stop);

// Whether the file is there and has the blob's bytes, zeroes for `lost` blocks. Reads the file, and of the repository
// names only.
bool has_content_of(repository::Repository& repository, const repository::ManifestBlob& blob,
                    const std::filesystem::path& path, const std::vector<repository::BlockRange>& lost = {});

}  // namespace icecore::job
