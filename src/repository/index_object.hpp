// SPDX-License-Identifier: Apache-2.0
// The objects index/<id>: what the packs of a part of one backup hold, so that nobody has to read every
// pack's footer. All of it can be rebuilt from the packs. Written in FORMAT.md, "Index".
#pragma once

#include "repository/frame_table.hpp"
#include "repository/key_ring.hpp"

namespace icecore::repository {

std::string index_object(const std::string& id);

base::Bytes encode_index(const KeyRing& keys, const std::string& id, const std::vector<PackEntry>& packs);
// Fault::corrupt names the object.
std::vector<PackEntry> decode_index(const KeyRing& keys, const Config& config, const std::string& id,
                                    base::ByteView object);

}  // namespace icecore::repository
