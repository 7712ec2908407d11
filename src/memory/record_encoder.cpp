// SPDX-License-Identifier: Apache-2.0
#include "memory/record_encoder.hpp"

#include <algorithm>

namespace icecore::memory {

namespace {

// As in ram_stream.cpp.
constexpr std::uint8_t k_end_section = 3;
constexpr std::uint8_t k_footer = 0x7e;
constexpr std::uint64_t k_zero = 0x02;
constexpr std::uint64_t k_page = 0x08;
constexpr std::uint64_t k_end_of_section = 0x10;
constexpr std::uint64_t k_same_block = 0x20;

void append(base::Bytes& out, std::uint64_t value, unsigned bytes) {
  for (unsigned i = bytes; i-- > 0;) out.push_back(static_cast<std::byte>(value >> (8 * i)));
}
void append(base::Bytes& out, base::ByteView bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

}  // namespace

RecordEncoder::RecordEncoder(const MemoryState& state) : state_(state) {
  for (const MemoryBlock& block : state.blocks) {
    const auto first = std::find_if(block.pages.begin(), block.pages.end(),
                                    [](const PageKind kind) { return kind != PageKind::absent; });
    first_pages_.push_back(static_cast<std::uint64_t>(first - block.pages.begin()));
  }
  std::uint64_t at = beginning().size();
  for (std::uint64_t offset = 0; offset < state.image_bytes(); offset += k_page_bytes) {
    if (offset % k_block_alignment == 0) groups_.push_back(at);
    at += record_bytes(page_at(offset));
  }
  groups_.push_back(at);
  file_bytes_ = at + ending().size();
}

base::Bytes RecordEncoder::beginning() const {
  base::Bytes out = state_.prefix;
  append(out, k_end_section, 1);
  append(out, state_.section, 4);
  return out;
}

base::Bytes RecordEncoder::ending() const {
  base::Bytes out;
  append(out, k_end_of_section, 8);
  append(out, k_footer, 1);
  append(out, state_.section, 4);
  append(out, state_.tail);
  return out;
}

RecordEncoder::Page RecordEncoder::page_at(std::uint64_t image_offset) const {
  const auto after =
      std::upper_bound(state_.blocks.begin(), state_.blocks.end(), image_offset,
                       [](std::uint64_t offset, const auto& block) { return offset < block.image_offset; });
  if (after == state_.blocks.begin()) return {};
  const MemoryBlock& block = *(after - 1);
  const std::uint64_t number = (image_offset - block.image_offset) / k_page_bytes;
  if (number >= block.pages.size()) return {};
  const auto index = static_cast<std::size_t>(after - 1 - state_.blocks.begin());
  return {&block, number, block.pages[number], number == first_pages_[index]};
}

std::size_t RecordEncoder::record_bytes(const Page& page) {
  if (page.kind == PageKind::absent) return 0;
  const std::size_t name = page.first ? 1 + page.block->ram.name.size() : 0;
  return sizeof(std::uint64_t) + name + (page.kind == PageKind::content ? k_page_bytes : 1);
}

std::uint64_t RecordEncoder::place_of(std::uint64_t image_offset) const {
  const std::uint64_t group = image_offset / k_block_alignment;
  std::uint64_t at = groups_.at(group);
  for (std::uint64_t offset = group * k_block_alignment; offset < image_offset; offset += k_page_bytes)
    at += record_bytes(page_at(offset));
  return at;
}

void RecordEncoder::append_record(const Page& page, base::ByteView content, base::Bytes& out) {
  if (page.kind == PageKind::absent) return;
  const std::uint64_t kind = page.kind == PageKind::content ? k_page : k_zero;
  append(out, page.number * k_page_bytes | kind | (page.first ? 0 : k_same_block), 8);
  if (page.first) {
    append(out, page.block->ram.name.size(), 1);
    append(out, base::as_bytes(page.block->ram.name));
  }
  if (page.kind == PageKind::content) {
    append(out, content);
  } else {
    append(out, 0, 1);
  }
}

void RecordEncoder::encode(std::uint64_t image_offset, base::ByteView contents, base::Bytes& out) const {
  for (std::size_t at = 0; at < contents.size(); at += k_page_bytes)
    append_record(page_at(image_offset + at), contents.subspan(at, k_page_bytes), out);
}

void RecordEncoder::encode_empty(std::uint64_t image_offset, std::uint64_t length, base::Bytes& out) const {
  for (std::uint64_t at = 0; at < length; at += k_page_bytes) {
    const Page page = page_at(image_offset + at);
    if (page.kind == PageKind::zero) append_record(page, {}, out);
  }
}

}  // namespace icecore::memory
