// SPDX-License-Identifier: Apache-2.0
// From a MemoryState and the RAM image back to a save file that QEMU loads: one section with each page once, in order
// of address. Every record's place is known from the state alone, so they may be written in any order.
#pragma once

#include "memory/memory_state.hpp"

namespace icecore::memory {

class RecordEncoder {
 public:
  // `state` outlives it.
  explicit RecordEncoder(const MemoryState& state);

  // What is not pages: the file's beginning, and its end from end_at() on.
  base::Bytes beginning() const;
  base::Bytes ending() const;
  std::uint64_t end_at() const noexcept { return groups_.back(); }
  std::uint64_t file_bytes() const noexcept { return file_bytes_; }

  // Where in the file the records from this byte of the image on begin. A multiple of a page.
  std::uint64_t place_of(std::uint64_t image_offset) const;
  // Appends the records of the image's pages from `image_offset` on, whose contents are given.
  void encode(std::uint64_t image_offset, base::ByteView contents, base::Bytes& out) const;
  // The same for pages that are all zero or absent.
  void encode_empty(std::uint64_t image_offset, std::uint64_t length, base::Bytes& out) const;

 private:
  struct Page {
    const MemoryBlock* block = nullptr;  // none: between two blocks
    std::uint64_t number = 0;
    PageKind kind = PageKind::absent;
    bool first = false;  // of its block: names it
  };
  Page page_at(std::uint64_t image_offset) const;
  static std::size_t record_bytes(const Page& page);
  static void append_record(const Page& page, base::ByteView content, base::Bytes& out);

  const MemoryState& state_;
  std::vector<std::uint64_t> first_pages_;  // of each block, the first that is there
  std::vector<std::uint64_t> groups_;       // place of each 64 KiB of the image, and of the end
  std::uint64_t file_bytes_ = 0;
};

}  // namespace icecore::memory
