// SPDX-License-Identifier: Apache-2.0
#include "repository/frame_table.hpp"

#include "base/error.hpp"

namespace icecore::repository {

using base::Fault;

namespace {

constexpr std::string_view k_frame_domain = "icecore frame 1";
constexpr std::size_t k_frame_record_bytes = 4 + 4 + 1 + 4;
constexpr std::size_t k_block_record_bytes = k_name_bytes + 4;

void check_frame(const FrameEntry& frame, const Config& config, std::string_view what) {
  if (frame.raw_length == 0 || frame.raw_length > config.frame_bytes || frame.stored_length == 0 ||
      frame.stored_length > frame.raw_length + k_frame_overhead_max) {
    base::fail(Fault::corrupt, "{} lists a frame of {} bytes stored in {}", what, frame.raw_length,
               frame.stored_length);
  }
}

FrameEntry decode_frame(base::ByteReader& reader, const Config& config, std::string_view what) {
  FrameEntry frame;
  frame.stored_length = reader.u32();
  frame.raw_length = reader.u32();
  const std::uint8_t compression = reader.u8();
  if (compression > static_cast<std::uint8_t>(Compression::zstd)) {
    base::fail(Fault::corrupt, "{} names the unknown compression {}", what, compression);
  }
  frame.compression = static_cast<Compression>(compression);
  check_frame(frame, config, what);
  const std::uint32_t count = reader.u32();
  if (count > reader.remaining() / k_block_record_bytes)
    base::fail(Fault::corrupt, "{} lists more blocks than it holds", what);
  frame.blocks.reserve(count);
  std::uint64_t sum = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    FrameBlock block{{reader.array<k_name_bytes>()}, reader.u32()};
    if (block.length == 0 || block.name.is_zero()) base::fail(Fault::corrupt, "{} lists an empty block", what);
    sum += block.length;
    frame.blocks.push_back(block);
  }
  if (sum != frame.raw_length)
    base::fail(Fault::corrupt, "{} lists blocks of {} bytes in a frame of {}", what, sum, frame.raw_length);
  return frame;
}

}  // namespace

std::string pack_object(const PackId& id) {
  const std::string hex = id.hex();
  return "packs/" + hex.substr(0, 2) + "/" + hex;
}

std::optional<PackId> parse_pack_object(std::string_view name) {
  const std::string_view hex = name.substr(name.rfind('/') + 1);
  constexpr std::string_view k_digits = "0123456789abcdef";
  if (hex.size() != 64 || hex.find_first_not_of(k_digits) != std::string_view::npos) return std::nullopt;
  PackId id;
  const base::Bytes bytes = base::from_hex(hex);
  std::copy(bytes.begin(), bytes.end(), id.bytes.begin());
  if (pack_object(id) != name) return std::nullopt;
  return id;
}

std::uint64_t PackEntry::frames_end() const {
  return frames.empty() ? k_pack_header_bytes : frames.back().offset + frames.back().stored_length;
}

std::size_t PackEntry::block_count() const {
  std::size_t count = 0;
  for (const FrameEntry& frame : frames) count += frame.blocks.size();
  return count;
}

void encode_frames(base::ByteWriter& writer, const std::vector<FrameEntry>& frames) {
  writer.u32(static_cast<std::uint32_t>(frames.size()));
  for (const FrameEntry& frame : frames) {
    writer.u32(frame.stored_length);
    writer.u32(frame.raw_length);
    writer.u8(static_cast<std::uint8_t>(frame.compression));
    writer.u32(static_cast<std::uint32_t>(frame.blocks.size()));
    for (const FrameBlock& block : frame.blocks) {
      writer.raw(block.name.bytes);
      writer.u32(block.length);
    }
  }
}

std::vector<FrameEntry> decode_frames(base::ByteReader& reader, const Config& config, std::string_view what) {
  const std::uint32_t count = reader.u32();
  if (count > reader.remaining() / k_frame_record_bytes)
    base::fail(Fault::corrupt, "{} lists more frames than it holds", what);
  std::vector<FrameEntry> frames;
  frames.reserve(count);
  std::uint64_t offset = k_pack_header_bytes;
  for (std::uint32_t i = 0; i < count; ++i) {
    frames.push_back(decode_frame(reader, config, what));
    frames.back().offset = offset;
    offset += frames.back().stored_length;
  }
  return frames;
}

FrameKind decode_frame_kind(std::uint8_t value, std::string_view what) {
  if (value != static_cast<std::uint8_t>(FrameKind::data) && value != static_cast<std::uint8_t>(FrameKind::tree)) {
    base::fail(Fault::corrupt, "{} is a pack of the unknown kind {}", what, value);
  }
  return static_cast<FrameKind>(value);
}

base::Bytes frame_associated_data(FrameKind kind, Compression compression, std::uint32_t raw_length) {
  base::ByteWriter writer;
  writer.raw(base::as_bytes(k_frame_domain));
  writer.u8(static_cast<std::uint8_t>(kind));
  writer.u8(static_cast<std::uint8_t>(compression));
  writer.u32(raw_length);
  return writer.take();
}

}  // namespace icecore::repository
