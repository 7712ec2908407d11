// SPDX-License-Identifier: Apache-2.0
#include "repository/pack_writer.hpp"

#include <algorithm>
#include <cassert>

#include "base/failpoint.hpp"
#include "repository/envelope.hpp"
#include "repository/pack_format.hpp"

namespace icecore::repository {

namespace {

// Room behind the frames: 64 KiB blocks that shrink to a half give a table of 40 KiB.
constexpr std::size_t k_footer_bytes_usual = 256 * base::k_kib;

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

void PackWriter::add(const Config& config, SealedFrame frame) {
  assert(frame.kind == kind_ && frame.entry.stored_length == frame.stored.size());
  if (bytes_.empty()) bytes_ = base::Buffer(std::size_t{config.pack_bytes} + config.frame_bytes + k_footer_bytes_usual);
  if (size_ == 0) append(make_header(kind_));
  frame.entry.offset = size_;
  append(frame.stored.view());
  blocks_ += frame.entry.blocks.size();
  entries_.push_back(std::move(frame.entry));
}

bool PackWriter::full(const Config& config) const noexcept {
  return size_ >= config.pack_bytes || blocks_ >= k_pack_blocks_max;
}

PackEntry PackWriter::write(storage::Storage& storage, const KeyRing& keys, std::uint64_t& stored_bytes) {
  const base::Bytes footer = make_footer(keys, bytes_.view().first(k_pack_header_bytes), entries_);
  append(footer);
  append(make_trailer(footer.size()));
  const base::ByteView pack = bytes_.view().first(size_);
  const PackId id{piecewise_digest_of(pack)};
  storage.put(pack_object(id), pack);
  base::failpoint("repository.pack_written");
  stored_bytes += pack.size();
  return {id, kind_, std::move(entries_)};
}

void PackWriter::append(base::ByteView bytes) {
  if (bytes.size() > bytes_.size() - size_) {
    base::Buffer larger(size_ + bytes.size() + k_footer_bytes_usual);
    std::copy_n(bytes_.view().begin(), size_, larger.span().begin());
    bytes_ = std::move(larger);
  }
  std::copy(bytes.begin(), bytes.end(), bytes_.span().begin() + static_cast<std::ptrdiff_t>(size_));
  size_ += bytes.size();
}

}  // namespace icecore::repository
