// SPDX-License-Identifier: Apache-2.0
// A save file understood: everything that is not a page, and for each page of the guest where its last version lies.
// Needs 13 bytes of memory a page (208 MiB for a guest of 64 GiB).
#pragma once

#include <filesystem>

#include "base/handle.hpp"
#include "memory/memory_state.hpp"

namespace icecore::memory {

class SavedMemory {
 public:
  // Reads the whole file once. Fault::corrupt says what about it we do not understand.
  explicit SavedMemory(const std::filesystem::path& path);

  const MemoryState& state() const noexcept { return state_; }
  std::uint32_t checksum(std::size_t block, std::uint64_t page) const { return checksums_[block][page]; }

  // The RAM image at `offset` (a multiple of a page, as is the length). Bit i of the result: bytes from i x `unit` on
  // are not all zero; those of other units are garbage. Any number of threads.
  std::uint64_t read(std::uint64_t offset, base::ByteSpan out, std::size_t unit) const;

 private:
  void take(const RamPage& page);
  void read_pages(std::size_t block, std::uint64_t first, base::ByteSpan out) const;

  std::filesystem::path path_;
  base::Fd file_;
  MemoryState state_;
  std::vector<std::vector<std::uint64_t>> places_;  // in the file; only of pages with content
  std::vector<std::vector<std::uint32_t>> checksums_;
};

}  // namespace icecore::memory
