// SPDX-License-Identifier: Apache-2.0
// Files that are either wholly there after a crash or not there at all: temp name, write, fsync, rename,
// fsync of the folder. Everything durable in the program goes through here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "base/bytes.hpp"
#include "base/handle.hpp"

namespace icecore::base {

// Writes the parts one after another to `path`. On failure `path` is what it was before and no temp file
// is left (after a crash a "<name>.tmp-*" may be; it is never read). Permissions are `mode`. A
// large part that is page-aligned (base::Buffer) bypasses the page cache.
void write_durably(const std::filesystem::path& path, std::span<const ByteView> parts, unsigned mode = 0600);
void write_durably(const std::filesystem::path& path, ByteView bytes, unsigned mode = 0600);

// Whether both are names of one file. False where either is missing.
bool is_same_file(const std::filesystem::path& one, const std::filesystem::path& other);

// Renames a file within its file system; false, and nothing is changed, when the name is taken. Where the file system
// knows no such rename (NFS among others) the file gets the new name before it loses the old one: after a death in
// between it has both, and the same call ends it. Not durable before sync_folder().
bool rename_to_free_name(const std::filesystem::path& from, const std::filesystem::path& to);

// fsync of a folder, so that names created or removed in it stay so.
void sync_folder(const std::filesystem::path& folder);

// Creates the folder and its missing parents, each durably.
void create_folders(const std::filesystem::path& folder, unsigned mode = 0700);

// The whole file. Throws Fault::not_found, or Fault::corrupt when longer than `size_max` or its disk cannot read it.
Bytes read_file(const std::filesystem::path& path, std::uint64_t size_max = 256 * k_mib);
// Of one that is open already; `path` is for messages.
Bytes read_file(int fd, const std::filesystem::path& path, std::uint64_t size_max);

std::uint64_t file_size(int fd, const std::filesystem::path& path);

// `length` bytes at `offset`; a shorter file is Fault::corrupt.
Bytes read_file_range(const std::filesystem::path& path, std::uint64_t offset, std::size_t length);

// open(2) with O_CLOEXEC that throws, naming the path.
Fd open_file(const std::filesystem::path& path, int flags, unsigned mode = 0600);

}  // namespace icecore::base
