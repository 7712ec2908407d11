// SPDX-License-Identifier: Apache-2.0
#include "repository/pack_reader.hpp"

#include "base/error.hpp"
#include "repository/envelope.hpp"
#include "repository/pack_format.hpp"

namespace icecore::repository {

using base::Fault;

namespace {

FrameKind parse_header(base::ByteView header, const std::string& what) {
  base::ByteReader reader(header, what);
  if (base::to_string(reader.raw(k_pack_magic.size())) != k_pack_magic)
    base::fail(Fault::corrupt, "{} is not a pack", what);
  const std::uint8_t version = reader.u8();
  if (version > k_pack_version) fail_newer(what, version, k_pack_version);
  if (version != k_pack_version) base::fail(Fault::corrupt, "{} has the impossible version {}", what, version);
  return decode_frame_kind(reader.u8(), what);
}

// How long the footer is; the pack is `size` bytes long.
std::size_t parse_trailer(base::ByteView trailer, std::uint64_t size, const std::string& what) {
  base::ByteReader reader(trailer, what);
  const std::uint32_t length = reader.u32();
  const bool magic = base::to_string(reader.raw(k_pack_end_magic.size())) == k_pack_end_magic;
  if (!magic || length > size - k_pack_header_bytes - k_pack_trailer_bytes ||
      length > size_max(ObjectKind::pack_footer)) {
    base::fail(Fault::corrupt, "{} does not end like a pack: it is cut off or damaged", what);
  }
  return length;
}

PackEntry parse_footer(const KeyRing& keys, const Config& config, const PackId& id, base::ByteView header,
                       base::ByteView footer, std::uint64_t footer_at) {
  const std::string what = "pack " + id.hex();
  PackEntry pack{id, parse_header(header, what), {}};
  const base::Bytes table =
      base::with_context([&] { return open(keys, ObjectKind::pack_footer, footer_name(header), footer); }, "{}", what);
  base::ByteReader reader(table, what);
  pack.frames = decode_frames(reader, config, what);
  reader.expect_end();
  if (pack.frames_end() != footer_at) {
    base::fail(Fault::corrupt, "{} holds {} bytes of frames where its footer lists {}", what, footer_at,
               pack.frames_end());
  }
  return pack;
}

void check_size(std::uint64_t size, const PackId& id) {
  if (size < k_pack_header_bytes + k_pack_trailer_bytes)
    base::fail(Fault::corrupt, "pack {} is cut off after {} bytes", id.hex(), size);
}

// Locations come from a cache that may say anything: nothing is allocated on its word alone.
void check_location(const Config& config, const FrameLocation& frame) {
  if (frame.raw_length > config.frame_bytes || frame.stored_length > config.frame_bytes + k_frame_overhead_max) {
    base::fail(Fault::corrupt, "pack {} cannot hold a frame of {} bytes at byte {}", frame.pack.hex(), frame.raw_length,
               frame.offset);
  }
}

}  // namespace

PackEntry read_pack_footer(storage::Storage& storage, const KeyRing& keys, const Config& config, const PackId& id,
                           std::uint64_t size) {
  check_size(size, id);
  const std::string name = pack_object(id);
  const base::Bytes trailer = storage.get_range(name, size - k_pack_trailer_bytes, k_pack_trailer_bytes);
  const std::size_t length = parse_trailer(trailer, size, "pack " + id.hex());
  const std::uint64_t footer_at = size - k_pack_trailer_bytes - length;
  const base::Bytes footer = storage.get_range(name, footer_at, length);
  return parse_footer(keys, config, id, storage.get_range(name, 0, k_pack_header_bytes), footer, footer_at);
}

bool ends_behind_frames(storage::Storage& storage, const PackEntry& pack, std::uint64_t size) {
  try {
    check_size(size, pack.id);
    const base::Bytes trailer =
        storage.get_range(pack_object(pack.id), size - k_pack_trailer_bytes, k_pack_trailer_bytes);
    return pack.frames_end() + parse_trailer(trailer, size, "pack") + k_pack_trailer_bytes == size;
  } catch (const base::Error& error) {
    if (error.fault() != Fault::corrupt && error.fault() != Fault::not_found) throw;
    return false;
  }
}

PackEntry parse_pack(const KeyRing& keys, const Config& config, const PackId& id, base::ByteView pack) {
  check_size(pack.size(), id);
  const std::size_t length = parse_trailer(pack.last(k_pack_trailer_bytes), pack.size(), "pack " + id.hex());
  const std::size_t footer_at = pack.size() - k_pack_trailer_bytes - length;
  return parse_footer(keys, config, id, pack.first(k_pack_header_bytes), pack.subspan(footer_at, length), footer_at);
}

base::Buffer decode_frame(const KeyRing& keys, const Config& config, Decompressor& decompressor,
                          const FrameLocation& frame, base::ByteView stored) {
  check_location(config, frame);
  const auto damaged = [&] {
    base::fail(Fault::corrupt, "pack {} is damaged in the frame at byte {}", frame.pack.hex(), frame.offset);
  };
  base::Buffer payload;
  if (!keys.open_frame(stored, frame_associated_data(frame.kind, frame.compression, frame.raw_length), payload))
    damaged();
  if (frame.compression == Compression::none) {
    if (payload.size() != frame.raw_length) damaged();
    return payload;
  }
  base::Buffer raw(frame.raw_length);
  if (!decompressor.decompress(payload.view(), raw.span())) damaged();
  return raw;
}

base::Buffer read_frame(storage::Storage& storage, const KeyRing& keys, const Config& config,
                        Decompressor& decompressor, const FrameLocation& frame) {
  check_location(config, frame);
  base::Bytes stored;
  try {
    stored = storage.get_range(pack_object(frame.pack), frame.offset, frame.stored_length);
  } catch (base::Error& error) {
    // To somebody who restores, a pack that is gone is damage and no mistyped name.
    if (error.fault() == Fault::not_found)
      base::fail(Fault::corrupt, "pack {} is missing from '{}'", frame.pack.hex(), storage.url());
    error.add_context(fmt::format("reading the frame at byte {} of pack {}", frame.offset, frame.pack.hex()));
    throw;
  }
  return decode_frame(keys, config, decompressor, frame, stored);
}

}  // namespace icecore::repository
