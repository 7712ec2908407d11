// SPDX-License-Identifier: Apache-2.0
// What a disk's chain of layers looked like, to notice later that somebody changed it under us: an image
// swapped, resized, rebased or written to while we believed it frozen.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "disk/image.hpp"

namespace icecore::disk {

struct LayerFingerprint {
  std::filesystem::path path;
  std::string format;
  std::uint64_t inode = 0;  // 0: a block device, whose node is made anew at each boot
  std::uint64_t virtual_size = 0;
  std::int64_t modified_ns = 0;  // of the file; moves with every write, so only meaningful while frozen
  std::string device = {};       // device_identity()
};

using ChainFingerprint = std::vector<LayerFingerprint>;  // top first

// Of a chain that was just inspected.
ChainFingerprint fingerprint_of(const std::vector<ImageInfo>& chain);

// Reads the chain as it is now; faults as inspect_chain().
ChainFingerprint fingerprint_chain(const std::filesystem::path& path, const std::string& format);

// Throws Fault::conflict naming the file and what differs. The modification time does not count.
void expect_same_chain(const ChainFingerprint& recorded, const ChainFingerprint& now);

// For the journal.
base::Json to_json(const ChainFingerprint& chain);
ChainFingerprint chain_from_json(const base::Json& record);

}  // namespace icecore::disk
