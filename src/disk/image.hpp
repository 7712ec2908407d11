// SPDX-License-Identifier: Apache-2.0
// What an image file is, as qemu-img tells it. Formats are always named by the caller and never probed: a
// guest can write any header into a raw disk. Read-only and with force-share, so a running domain never notices.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace icecore::disk {

// A persistent dirty bitmap of a qcow2 image, as its file tells: what a QEMU at work on it knows is newer.
struct ImageBitmap {
  std::string name;
  std::uint64_t granularity = 0;  // bytes
  bool recording = false;         // QEMU marks what is written, whenever it opens the image
  bool in_use = false;            // a QEMU has it open for writing, or did not close it: what it says is worth nothing
  bool operator==(const ImageBitmap&) const = default;
};

struct ImageInfo {
  std::filesystem::path path;  // absolute
  std::string format;
  std::uint64_t virtual_size = 0;  // bytes the guest sees
  std::uint64_t actual_size = 0;   // bytes allocated on the host
  std::uint64_t cluster_size = 0;  // 0: the format has none (raw)
  std::string compat;              // qcow2: "0.10" or "1.1"
  bool extended_l2 = false;
  bool encrypted = false;
  bool dirty = false;    // not closed properly; lazy refcounts
  bool corrupt = false;  // QEMU marked it so
  bool external_data = false;
  std::optional<std::filesystem::path> backing;  // absolute
  std::string backing_format;                    // empty: the image does not say
  std::vector<std::string> internal_snapshots;
  std::vector<ImageBitmap> bitmaps;
};

// One layer. Throws not_found, denied, conflict (another format) or corrupt, naming the file.
ImageInfo inspect_image(const std::filesystem::path& path, const std::string& format);

// The layer and all below it, top first. A backing file whose format its overlay does not name is refused
// with Fault::conflict: QEMU would guess.
std::vector<ImageInfo> inspect_chain(const std::filesystem::path& path, const std::string& format);

// Throws usage for an image QEMU encrypts, unless that may be (its file is read, not its content), corrupt for one QEMU
// has marked so.
void expect_readable(const ImageInfo& layer, bool may_be_encrypted = false);

// True when both show the guest the same bytes; the shorter one must end in zeros (`qemu-img compare`).
bool same_content(const std::filesystem::path& one, const std::string& one_format, const std::filesystem::path& other,
                  const std::string& other_format);

}  // namespace icecore::disk
