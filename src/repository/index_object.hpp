// SPDX-License-Identifier: Apache-2.0
// The objects index/<id>: what the packs of a part of one backup hold, so that nobody has to read every
// pack's footer. All of it can be rebuilt from the packs. Written in FORMAT.md, "Index".
#pragma once

#include "repository/frame_table.hpp"
#include "repository/key_ring.hpp"
#include "storage/storage.hpp"

namespace icecore::repository {

// An index is written for so many blocks: 4 GiB in blocks of 64 KiB, and an object of 2.4 MB.
constexpr std::size_t k_blocks_per_index = 64 * 1024;

std::string index_object(const std::string& id);

base::Bytes encode_index(const KeyRing& keys, const std::string& id, const std::vector<PackEntry>& packs);
// Fault::corrupt names the object.
std::vector<PackEntry> decode_index(const KeyRing& keys, const Config& config, const std::string& id,
                                    base::ByteView object);

// Reads the object. Fault::not_found, Fault::corrupt.
std::vector<PackEntry> load_index(storage::Storage& storage, const KeyRing& keys, const Config& config,
                                  const std::string& id);

// The ids of all index objects, in order.
std::vector<std::string> list_indexes(storage::Storage& storage);

}  // namespace icecore::repository
