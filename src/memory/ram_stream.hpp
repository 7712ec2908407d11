// SPDX-License-Identifier: Apache-2.0
// Parses a libvirt save file: its header, then QEMU's migration stream as far as the guest's RAM goes. What follows
// (the devices) is not looked at. Anything unknown (a compressed file, other live sections, page encodings we do not
// know) is Fault::corrupt: the caller then keeps the file as it is.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "memory/stream_reader.hpp"

namespace icecore::memory {

constexpr std::size_t k_page_bytes = 4096;

// A piece of guest memory under QEMU's name for it ("pc.ram", "pc.bios"); its pages have offsets within it.
struct RamBlock {
  std::string name;
  std::uint64_t bytes = 0;  // a multiple of the page
  std::uint64_t pages() const noexcept { return bytes / k_page_bytes; }
  bool operator==(const RamBlock&) const = default;
};

// One page as the stream has it; a later one for the same place replaces it.
struct RamPage {
  std::size_t block = 0;     // index into the blocks
  std::uint64_t number = 0;  // within the block
  base::ByteView content;    // empty: all zero
  std::uint64_t at = 0;      // of the content, in the file
};

struct RamStream {
  std::uint32_t section = 0;       // QEMU's number for the RAM
  std::uint64_t prefix_bytes = 0;  // of the file before the first page: header, XML, the list of blocks
  std::uint64_t tail_at = 0;       // where the RAM's sections end and the devices begin
  std::vector<RamBlock> blocks;
};

// `on_blocks` comes once, before the first page, with the list of the blocks complete.
RamStream parse_ram_stream(StreamReader& reader, const std::function<void(const std::vector<RamBlock>&)>& on_blocks,
                           const std::function<void(const RamPage&)>& on_page);

// What libvirt says in the file's first bytes.
struct SaveHeader {
  std::uint32_t data_bytes = 0;  // XML and cookie
  std::uint32_t was_running = 0;
  std::uint32_t compressed = 0;
  std::uint32_t cookie_offset = 0;  // the XML ends before
};
constexpr std::size_t k_save_header_bytes = 92;
// Fault::corrupt unless it is the complete header of a version that we know.
SaveHeader parse_save_header(base::ByteView bytes);
// The domain's XML in a file's prefix.
std::string xml_of_save_file(base::ByteView prefix);

}  // namespace icecore::memory
