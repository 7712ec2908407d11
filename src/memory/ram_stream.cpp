// SPDX-License-Identifier: Apache-2.0
#include "memory/ram_stream.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/error.hpp"

namespace icecore::memory {

namespace {

using base::Fault;

constexpr std::uint32_t k_stream_magic = 0x5145564d;  // "QEVM"
constexpr std::uint32_t k_stream_version = 3;
constexpr std::uint32_t k_ram_version = 4;
enum SectionType : std::uint8_t { start = 1, part = 2, end = 3, configuration = 7, footer = 0x7e };

// In the low bits of a page's offset.
constexpr std::uint64_t k_zero = 0x02;
constexpr std::uint64_t k_sizes = 0x04;
constexpr std::uint64_t k_page = 0x08;
constexpr std::uint64_t k_end_of_section = 0x10;
constexpr std::uint64_t k_same_block = 0x20;
constexpr std::uint64_t k_flags = k_page_bytes - 1;

constexpr std::size_t k_blocks_max = 4096;
constexpr std::uint64_t k_ram_bytes_max = 1ULL << 46U;
constexpr std::uint32_t k_prefix_bytes_max = 64 * base::k_mib;

class Parser {
 public:
  Parser(StreamReader& reader, const std::function<void(const std::vector<RamBlock>&)>& on_blocks,
         const std::function<void(const RamPage&)>& on_page)
      : reader_(reader), on_blocks_(on_blocks), on_page_(on_page) {}

  RamStream run() {
    base::Bytes header;
    const base::ByteView view = reader_.raw(k_save_header_bytes);
    header.assign(view.begin(), view.end());
    reader_.skip(parse_save_header(header).data_bytes);
    stream_header();
    start_section();
    stream_.prefix_bytes = reader_.at();
    on_blocks_(stream_.blocks);
    while (page_section()) {
    }
    stream_.tail_at = reader_.at();
    return std::move(stream_);
  }

 private:
  void stream_header() {
    if (reader_.be32() != k_stream_magic) base::fail(Fault::corrupt, "it holds no stream of QEMU's");
    const std::uint32_t version = reader_.be32();
    if (version != k_stream_version) base::fail(Fault::corrupt, "QEMU's stream has version {}", version);
  }

  void start_section() {
    std::uint8_t type = reader_.u8();
    if (type == SectionType::configuration) {
      reader_.text(std::min<std::uint32_t>(reader_.be32(), 4096));
      type = reader_.u8();
    }
    if (type != SectionType::start) base::fail(Fault::corrupt, "QEMU's stream begins with a section of type {}", type);
    stream_.section = reader_.be32();
    const std::string name = reader_.text(reader_.u8());
    const std::uint32_t instance = reader_.be32();
    const std::uint32_t version = reader_.be32();
    if (name != "ram" || instance != 0 || version != k_ram_version)
      base::fail(Fault::corrupt, "QEMU's stream begins with '{}' of version {}", name, version);
    read_blocks();
    if (reader_.be64() != k_end_of_section) base::fail(Fault::corrupt, "the list of RAM blocks has no end");
    read_footer();
  }

  void read_blocks() {
    const std::uint64_t record = reader_.be64();
    if ((record & k_flags) != k_sizes) base::fail(Fault::corrupt, "the RAM has no list of blocks");
    std::uint64_t left = record & ~k_flags;
    if (left > k_ram_bytes_max) base::fail(Fault::corrupt, "{} bytes of RAM are not possible", left);
    while (left > 0) {
      RamBlock block{reader_.text(reader_.u8()), reader_.be64()};
      const bool sound = !block.name.empty() && block.bytes > 0 && block.bytes % k_page_bytes == 0;
      if (!sound || block.bytes > left || find(block.name) || stream_.blocks.size() == k_blocks_max)
        base::fail(Fault::corrupt, "the RAM block '{}' of {} bytes is not possible", block.name, block.bytes);
      left -= block.bytes;
      stream_.blocks.push_back(std::move(block));
    }
  }

  // False after the last one.
  bool page_section() {
    const std::uint8_t type = reader_.u8();
    const std::uint32_t section = reader_.be32();
    if ((type != SectionType::part && type != SectionType::end) || section != stream_.section)
      base::fail(Fault::corrupt, "between the pages there is section {} of type {}", section, type);
    while (page()) {
    }
    read_footer();
    return type == SectionType::part;
  }

  bool page() {
    const std::uint64_t record = reader_.be64();
    if (record == k_end_of_section) return false;
    const std::uint64_t flags = record & k_flags;
    const std::uint64_t offset = record & ~k_flags;
    if ((flags & k_same_block) == 0) {
      block_ = find(reader_.text(reader_.u8()));
    }
    const std::uint64_t kind = flags & ~k_same_block;
    if (kind != k_page && kind != k_zero) base::fail(Fault::corrupt, "a page has the unknown flags {:#x}", flags);
    if (!block_ || offset >= stream_.blocks[*block_].bytes)
      base::fail(Fault::corrupt, "a page lies at {:#x} outside of its RAM block", offset);
    RamPage page{.block = *block_, .number = offset / k_page_bytes, .content = {}, .at = reader_.at()};
    if (kind == k_zero) {
      if (reader_.u8() != 0) base::fail(Fault::corrupt, "a page is filled with something else than zeroes");
    } else {
      page.content = reader_.raw(k_page_bytes);
    }
    on_page_(page);
    return true;
  }

  void read_footer() {
    const std::uint8_t type = reader_.u8();
    if (type != SectionType::footer || reader_.be32() != stream_.section)
      base::fail(Fault::corrupt, "a section of the RAM has no footer");
  }

  std::optional<std::size_t> find(const std::string& name) const {
    for (std::size_t i = 0; i < stream_.blocks.size(); ++i) {
      if (stream_.blocks[i].name == name) return i;
    }
    return std::nullopt;
  }

  StreamReader& reader_;
  const std::function<void(const std::vector<RamBlock>&)>& on_blocks_;
  const std::function<void(const RamPage&)>& on_page_;
  RamStream stream_;
  std::optional<std::size_t> block_;  // of the page before
};

}  // namespace

RamStream parse_ram_stream(StreamReader& reader, const std::function<void(const std::vector<RamBlock>&)>& on_blocks,
                           const std::function<void(const RamPage&)>& on_page) {
  return Parser(reader, on_blocks, on_page).run();
}

SaveHeader parse_save_header(base::ByteView bytes) {
  constexpr std::string_view k_magic = "LibvirtQemudSave";  // one being written says ...Part
  constexpr std::uint32_t k_version = 2;
  if (bytes.size() < k_save_header_bytes || base::to_string(bytes.first(k_magic.size())) != k_magic)
    base::fail(Fault::corrupt, "it is no complete save file of libvirt's");
  const auto field = [&](std::size_t index) {
    std::uint32_t value = 0;
    std::memcpy(&value, bytes.data() + k_magic.size() + index * sizeof(value), sizeof(value));
    return value;
  };
  if (field(0) != k_version) base::fail(Fault::corrupt, "libvirt's save file has version {}", field(0));
  const SaveHeader header{
      .data_bytes = field(1), .was_running = field(2), .compressed = field(3), .cookie_offset = field(4)};
  if (header.compressed != 0) base::fail(Fault::corrupt, "libvirt compressed it (format {})", header.compressed);
  if (header.data_bytes > k_prefix_bytes_max || header.cookie_offset > header.data_bytes)
    base::fail(Fault::corrupt, "libvirt's save file has an impossible header");
  return header;
}

std::string xml_of_save_file(base::ByteView prefix) {
  const SaveHeader header = parse_save_header(prefix);
  const std::size_t length = header.cookie_offset != 0 ? header.cookie_offset : header.data_bytes;
  if (prefix.size() - k_save_header_bytes < length) base::fail(Fault::corrupt, "the save file's XML is cut");
  const std::string text = base::to_string(prefix.subspan(k_save_header_bytes, length));
  return text.substr(0, text.find('\0'));
}

}  // namespace icecore::memory
