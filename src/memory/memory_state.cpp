// SPDX-License-Identifier: Apache-2.0
#include "memory/memory_state.hpp"

#include <array>
#include <bit>
#include <cstring>

#include "base/error.hpp"

namespace icecore::memory {

namespace {

using base::Fault;

constexpr std::string_view k_magic = "icecore memory";
constexpr std::uint32_t k_version = 1;
constexpr std::size_t k_pages_a_byte = 4;
constexpr std::uint64_t k_prime = 0x9e3779b97f4a7c15;

std::uint64_t align_up(std::uint64_t value) {
  return (value + k_block_alignment - 1) / k_block_alignment * k_block_alignment;
}

void encode_pages(base::ByteWriter& writer, const std::vector<PageKind>& pages) {
  for (std::size_t i = 0; i < pages.size(); i += k_pages_a_byte) {
    unsigned byte = 0;
    for (std::size_t j = 0; j < k_pages_a_byte && i + j < pages.size(); ++j)
      byte |= static_cast<unsigned>(pages[i + j]) << (2 * j);
    writer.u8(static_cast<std::uint8_t>(byte));
  }
}

std::vector<PageKind> decode_pages(base::ByteReader& reader, std::uint64_t count, std::string_view what) {
  const base::ByteView bytes = reader.raw((count + k_pages_a_byte - 1) / k_pages_a_byte);
  std::vector<PageKind> pages(count);
  for (std::size_t i = 0; i < count; ++i) {
    const unsigned kind = std::to_integer<unsigned>(bytes[i / k_pages_a_byte]) >> (2 * (i % k_pages_a_byte)) & 3U;
    if (kind > static_cast<unsigned>(PageKind::content)) base::fail(Fault::corrupt, "{}: a page of no kind", what);
    pages[i] = static_cast<PageKind>(kind);
  }
  return pages;
}

base::Bytes copy_of(base::ByteView view) { return {view.begin(), view.end()}; }

}  // namespace

std::uint64_t MemoryState::image_bytes() const noexcept {
  return blocks.empty() ? 0 : align_up(blocks.back().image_offset + blocks.back().ram.bytes);
}

std::vector<MemoryBlock> lay_out(const std::vector<RamBlock>& blocks) {
  std::vector<MemoryBlock> laid;
  std::uint64_t offset = 0;
  for (const RamBlock& block : blocks) {
    laid.push_back({block, offset, std::vector<PageKind>(block.pages(), PageKind::absent)});
    offset = align_up(offset + block.bytes);
  }
  return laid;
}

base::Bytes encode_state(const MemoryState& state) {
  base::ByteWriter writer;
  writer.raw(base::as_bytes(k_magic));
  writer.u32(k_version);
  writer.u32(state.section);
  writer.u64(state.checksum);
  writer.u32(static_cast<std::uint32_t>(state.blocks.size()));
  for (const MemoryBlock& block : state.blocks) {
    writer.u8(static_cast<std::uint8_t>(block.ram.name.size()));
    writer.raw(base::as_bytes(block.ram.name));
    writer.u64(block.ram.bytes);
    encode_pages(writer, block.pages);
  }
  for (const base::Bytes* part : {&state.prefix, &state.tail}) {
    writer.u64(part->size());
    writer.raw(*part);
  }
  return writer.take();
}

MemoryState decode_state(base::ByteView bytes, std::string_view what) {
  base::ByteReader reader(bytes, what);
  if (base::to_string(reader.raw(k_magic.size())) != k_magic) base::fail(Fault::corrupt, "{} is no memory", what);
  if (const std::uint32_t version = reader.u32(); version != k_version)
    base::fail(Fault::usage, "{} has version {}, made by a newer icecore", what, version);
  MemoryState state;
  state.section = reader.u32();
  state.checksum = reader.u64();
  std::uint64_t offset = 0;
  for (std::uint32_t left = reader.u32(); left > 0; --left) {
    MemoryBlock block;
    block.ram.name = base::to_string(reader.raw(reader.u8()));
    block.ram.bytes = reader.u64();
    block.image_offset = offset;
    if (block.ram.bytes % k_page_bytes != 0 || block.ram.pages() / k_pages_a_byte > reader.remaining())
      base::fail(Fault::corrupt, "{} has an impossible RAM block", what);
    block.pages = decode_pages(reader, block.ram.pages(), what);
    offset = align_up(offset + block.ram.bytes);
    state.blocks.push_back(std::move(block));
  }
  state.prefix = copy_of(reader.raw(reader.u64()));
  state.tail = copy_of(reader.raw(reader.u64()));
  reader.expect_end();
  return state;
}

std::uint32_t checksum_of(base::ByteView page) noexcept {
  constexpr std::size_t k_lanes = 4;
  std::array<std::uint64_t, k_lanes> lanes{1, 2, 3, 4};
  for (std::size_t at = 0; at + sizeof(lanes) <= page.size(); at += sizeof(lanes)) {
    std::array<std::uint64_t, k_lanes> words{};
    std::memcpy(words.data(), page.data() + at, sizeof(words));
    for (std::size_t i = 0; i < k_lanes; ++i) lanes[i] = std::rotl(lanes[i] ^ words[i], 29) * k_prime;
  }
  std::uint64_t sum = 0;
  for (const std::uint64_t lane : lanes) sum = std::rotl(sum ^ lane, 29) * k_prime;
  return static_cast<std::uint32_t>(sum >> 32U);
}

std::uint64_t share_of_checksum(std::size_t block, std::uint64_t page, std::uint32_t checksum) noexcept {
  std::uint64_t share = (page + 1) * k_prime;
  share = (share ^ block ^ std::rotl(std::uint64_t{checksum}, 32)) * k_prime;
  return share ^ share >> 31U;
}

}  // namespace icecore::memory
