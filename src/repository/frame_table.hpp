// SPDX-License-Identifier: Apache-2.0
// Which frames a pack holds and which blocks each frame: the table in a pack's footer and, once more, in
// an index object. Written in FORMAT.md, "Frame table".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "repository/block_name.hpp"
#include "repository/config.hpp"

namespace icecore::repository {

// Data blocks and image-tree nodes lie in packs of their own: reading a tree never fetches data.
enum class FrameKind : std::uint8_t { data = 1, tree = 2 };
enum class Compression : std::uint8_t { none = 0, zstd = 1 };

constexpr std::size_t k_pack_header_bytes = 32;
// A frame stores at most nonce and tag more than its raw bytes: incompressible ones are kept raw.
constexpr std::uint32_t k_frame_overhead_max = 64;
// A pack is closed when it holds that many blocks, however small they compress: bounds its footer.
constexpr std::size_t k_pack_blocks_max = 16 * 1024;

struct FrameBlock {
  BlockName name;
  std::uint32_t length = 0;
};

struct FrameEntry {
  std::uint64_t offset = 0;  // in the pack; not stored, as frames follow each other without gaps
  std::uint32_t stored_length = 0;
  std::uint32_t raw_length = 0;
  Compression compression = Compression::none;
  std::vector<FrameBlock> blocks;  // in this order in the decoded frame; lengths sum to raw_length
};

struct PackId {
  std::array<std::byte, 32> bytes{};
  std::string hex() const { return base::to_hex(bytes); }
  auto operator<=>(const PackId&) const = default;
};
// "packs/3f/3f2a..."
std::string pack_object(const PackId& id);
// Nothing unless `name` is what pack_object() would return.
std::optional<PackId> parse_pack_object(std::string_view name);

struct PackEntry {
  PackId id;
  FrameKind kind = FrameKind::data;
  std::vector<FrameEntry> frames;
  // Where the footer starts.
  std::uint64_t frames_end() const;
  std::size_t block_count() const;
};

void encode_frames(base::ByteWriter& writer, const std::vector<FrameEntry>& frames);
// Checks every length against `config`; memory stays in proportion to the bytes read.
std::vector<FrameEntry> decode_frames(base::ByteReader& reader, const Config& config, std::string_view what);
FrameKind decode_frame_kind(std::uint8_t value, std::string_view what);

// What a sealed frame authenticates beside its bytes.
base::Bytes frame_associated_data(FrameKind kind, Compression compression, std::uint32_t raw_length);

}  // namespace icecore::repository
