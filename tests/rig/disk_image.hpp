// SPDX-License-Identifier: Apache-2.0
// Disk images for tests: made with known content, and compared by what a guest would read, not by their bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace icecore::rig {

struct ImageOptions {
  std::string format = "qcow2";  // or raw
  std::uint64_t size = 64 * 1024 * 1024;
  std::vector<std::string> create_options;       // of qemu-img create: "cluster_size=1M", "extended_l2=on"
  std::optional<std::filesystem::path> backing;  // qcow2 only; its format is backing_format
  std::string backing_format = "qcow2";
  bool file_system = false;                       // an ext4 in it
  std::map<std::string, std::string> files = {};  // path in the ext4 -> content; any makes file_system true
  std::string passphrase = {};                    // qcow2 without backing: QEMU encrypts it with this (LUKS)
};

void make_image(const std::filesystem::path& path, const ImageOptions& options);

// A hash of what a guest would read: zeroes and holes are the same, and so are all formats. Reads the whole chain;
// works on an image that is in use. A qcow2 that is encrypted, with all below it, needs its passphrase.
std::string content_hash(const std::filesystem::path& path, const std::string& format,
                         const std::string& passphrase = {});

// The same as a raw file.
void copy_raw(const std::filesystem::path& path, const std::string& format, const std::string& passphrase,
              const std::filesystem::path& raw);

// Puts an encrypted qcow2 over a new raw image of its size.
void set_backing(const std::filesystem::path& path, const std::string& passphrase, const std::filesystem::path& raw);

// Writes `length` bytes of `pattern` at `offset`; the image must not be in use.
void write_pattern(const std::filesystem::path& path, const std::string& format, std::uint64_t offset,
                   std::uint64_t length, unsigned char pattern);
// Discards the range, with the same condition.
void discard(const std::filesystem::path& path, const std::string& format, std::uint64_t offset, std::uint64_t length);

// Bytes the file occupies on the host.
std::uint64_t allocated_bytes(const std::filesystem::path& path);

}  // namespace icecore::rig
