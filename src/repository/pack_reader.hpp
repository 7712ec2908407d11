// SPDX-License-Identifier: Apache-2.0
// Reads what PackWriter wrote: a pack's footer, to rebuild an index from packs alone, and single frames.
#pragma once

#include "base/buffer.hpp"
#include "repository/compression.hpp"
#include "repository/frame_table.hpp"
#include "repository/key_ring.hpp"
#include "storage/storage.hpp"

namespace icecore::repository {

// Lists a pack by its footer alone: three short reads. `size` is the object's, from Storage::list().
// Fault::corrupt naming the pack when header, footer or trailer is damaged or the lengths do not add up.
PackEntry read_pack_footer(storage::Storage& storage, const KeyRing& keys, const Config& config, const PackId& id,
                           std::uint64_t size);
// The same from the whole pack in memory.
PackEntry parse_pack(const KeyRing& keys, const Config& config, const PackId& id, base::ByteView pack);

// Whether the pack of that size has a footer right behind the frames it is said to have: one read of 12 bytes.
bool ends_behind_frames(storage::Storage& storage, const PackEntry& pack, std::uint64_t size);

// One frame as it lies in its pack.
struct FrameLocation {
  PackId pack;
  FrameKind kind = FrameKind::data;
  std::uint64_t offset = 0;
  std::uint32_t stored_length = 0;
  std::uint32_t raw_length = 0;
  Compression compression = Compression::none;
  auto operator<=>(const FrameLocation&) const = default;
};

// The frame's content out of its stored bytes; blocks are not yet compared with their names. Fault::corrupt.
base::Buffer decode_frame(const KeyRing& keys, const Config& config, Decompressor& decompressor,
                          const FrameLocation& frame, base::ByteView stored);

// Fetches, decrypts and decompresses a frame; blocks are not yet compared with their names.
// Fault::corrupt names the pack, also when it is missing.
base::Buffer read_frame(storage::Storage& storage, const KeyRing& keys, const Config& config,
                        Decompressor& decompressor, const FrameLocation& frame);

}  // namespace icecore::repository
