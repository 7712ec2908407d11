// SPDX-License-Identifier: Apache-2.0
#include "repository/pack_writer.hpp"

#include <cassert>

#include "base/failpoint.hpp"
#include "repository/envelope.hpp"
#include "repository/pack_format.hpp"

namespace icecore::repository {

namespace {

base::Bytes make_header(FrameKind kind) {
  base::ByteWriter writer;
  writer.raw(base::as_bytes(k_pack_magic));
  writer.u8(k_pack_version);
  writer.u8(static_cast<std::uint8_t>(kind));
  writer.raw(base::Bytes(k_pack_header_bytes - writer.size()));
  base::Bytes header = writer.take();
  fill_random(base::ByteSpan(header).last(k_pack_salt_bytes));
  return header;
}

base::Bytes make_trailer(std::size_t footer_bytes) {
  base::ByteWriter writer;
  writer.u32(static_cast<std::uint32_t>(footer_bytes));
  writer.raw(base::as_bytes(k_pack_end_magic));
  return writer.take();
}

base::Bytes make_footer(const KeyRing& keys, base::ByteView header, const std::vector<FrameEntry>& entries) {
  base::ByteWriter writer;
  encode_frames(writer, entries);
  return seal(keys, ObjectKind::pack_footer, footer_name(header), writer.take());
}

}  // namespace

void PackWriter::add(SealedFrame frame) {
  assert(frame.kind == kind_ && frame.entry.stored_length == frame.stored.size());
  frame.entry.offset = offset_;
  offset_ += frame.stored.size();
  blocks_ += frame.entry.blocks.size();
  entries_.push_back(std::move(frame.entry));
  frames_.push_back(std::move(frame.stored));
}

bool PackWriter::full(const Config& config) const noexcept {
  return offset_ >= config.pack_bytes || blocks_ >= k_pack_blocks_max;
}

PackEntry PackWriter::write(storage::Storage& storage, const KeyRing& keys, std::uint64_t& stored_bytes) {
  const base::Bytes header = make_header(kind_);
  const base::Bytes footer = make_footer(keys, header, entries_);
  const base::Bytes trailer = make_trailer(footer.size());
  std::vector<base::ByteView> parts = {header};
  for (const base::Buffer& frame : frames_) parts.push_back(frame.view());
  parts.insert(parts.end(), {base::ByteView(footer), base::ByteView(trailer)});
  const PackId id{digest_of(parts)};
  storage.put(pack_object(id), parts);
  base::failpoint("repository.pack_written");
  for (const base::ByteView part : parts) stored_bytes += part.size();
  return {id, kind_, std::move(entries_)};
}

}  // namespace icecore::repository
