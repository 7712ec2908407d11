// SPDX-License-Identifier: Apache-2.0
// All of a save file that is not a page's content, in the form a repository keeps it (FORMAT.md, "Memory"), and where
// each page lies in the RAM image: the blocks one behind the other, each beginning at a multiple of 64 KiB.
#pragma once

#include <cstdint>
#include <vector>

#include "memory/ram_stream.hpp"

namespace icecore::memory {

constexpr std::uint64_t k_block_alignment = 64 * base::k_kib;

enum class PageKind : std::uint8_t {
  absent,  // not in the stream: never used by the guest
  zero,
  content,
};

struct MemoryBlock {
  RamBlock ram;
  std::uint64_t image_offset = 0;  // a multiple of k_block_alignment
  std::vector<PageKind> pages;
};

struct MemoryState {
  std::uint32_t section = 0;
  std::uint64_t checksum = 0;  // sum over all pages, see add_to_checksum()
  base::Bytes prefix;          // of the save file, up to the first page
  base::Bytes tail;            // behind the last page
  std::vector<MemoryBlock> blocks;

  // Bytes of the RAM image.
  std::uint64_t image_bytes() const noexcept;
};

// The blocks laid out in the image, with every page absent.
std::vector<MemoryBlock> lay_out(const std::vector<RamBlock>& blocks);

base::Bytes encode_state(const MemoryState& state);
// Fault::corrupt naming `what`; Fault::usage when a newer icecore wrote it.
MemoryState decode_state(base::ByteView bytes, std::string_view what);

// Of a page's content, or of nothing for a zero page. Not against an adversary: it finds our own mistakes.
std::uint32_t checksum_of(base::ByteView page) noexcept;
// What a page adds to the sum: its place counts.
std::uint64_t share_of_checksum(std::size_t block, std::uint64_t page, std::uint32_t checksum) noexcept;

}  // namespace icecore::memory
