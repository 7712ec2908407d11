// SPDX-License-Identifier: Apache-2.0
// Save files made by hand: libvirt's header and QEMU's records one after the other, as a test wants them.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "memory/save_file_target.hpp"
#include "memory/saved_memory.hpp"

namespace icecore::memory {

class SaveFileBuilder {
 public:
  explicit SaveFileBuilder(std::uint32_t compressed = 0, const std::string& xml = "<domain/>") {
    text("LibvirtQemudSave");
    for (const std::uint32_t field : {std::uint32_t{2}, static_cast<std::uint32_t>(xml.size() + 10), std::uint32_t{1},
                                      compressed, static_cast<std::uint32_t>(xml.size() + 1)}) {
      host32(field);
    }
    for (int i = 0; i < 14; ++i) host32(0);
    text(xml);
    text(std::string(1, '\0') + "<cookie/>");
  }

  SaveFileBuilder& stream() { return be(0x5145564d, 4).be(3, 4).be(7, 1).be(10, 4).text("pc-q35-7.2"); }
  SaveFileBuilder& ram(const std::vector<RamBlock>& blocks) {
    std::uint64_t total = 0;
    for (const RamBlock& block : blocks) total += block.bytes;
    be(1, 1).be(k_section, 4).be(3, 1).text("ram").be(0, 4).be(4, 4).be(total | 4, 8);
    for (const RamBlock& block : blocks) be(block.name.size(), 1).text(block.name).be(block.bytes, 8);
    return end_section();
  }
  SaveFileBuilder& part() { return be(2, 1).be(k_section, 4); }
  SaveFileBuilder& last_part() { return be(3, 1).be(k_section, 4); }
  SaveFileBuilder& end_section() { return be(0x10, 8).be(0x7e, 1).be(k_section, 4); }
  // Without a name: of the same block as the one before.
  SaveFileBuilder& page(std::uint64_t number, char filled_with, const std::string& block = "") {
    record(number, 8, block);
    return text(std::string(k_page_bytes, filled_with));
  }
  SaveFileBuilder& zero(std::uint64_t number, const std::string& block = "") {
    return record(number, 2, block).be(0, 1);
  }
  SaveFileBuilder& devices() { return text("\x04" + std::string(5000, 'd')); }

  SaveFileBuilder& be(std::uint64_t value, unsigned bytes) {
    for (unsigned i = bytes; i-- > 0;) bytes_.push_back(static_cast<std::byte>(value >> (8 * i)));
    return *this;
  }
  SaveFileBuilder& text(const std::string& characters) {
    const base::ByteView view = base::as_bytes(characters);
    bytes_.insert(bytes_.end(), view.begin(), view.end());
    return *this;
  }
  SaveFileBuilder& record(std::uint64_t number, std::uint64_t flags, const std::string& block) {
    be(number * k_page_bytes | flags | (block.empty() ? 0x20 : 0), 8);
    return block.empty() ? *this : be(block.size(), 1).text(block);
  }
  const base::Bytes& bytes() const { return bytes_; }

  static constexpr std::uint32_t k_section = 3;

 private:
  void host32(std::uint32_t value) {
    base::Bytes raw(sizeof(value));
    std::memcpy(raw.data(), &value, sizeof(value));
    bytes_.insert(bytes_.end(), raw.begin(), raw.end());
  }
  base::Bytes bytes_;
};

// Two blocks of 40 and 3 pages; pages come twice, some never, one is zero though sent as a page.
inline SaveFileBuilder sample_save_file() {
  SaveFileBuilder file;
  file.stream().ram({{"pc.ram", 40 * k_page_bytes}, {"pc.bios", 3 * k_page_bytes}});
  file.part().page(0, 'a', "pc.ram").zero(1);
  for (char number = 2; number < 30; ++number) file.page(static_cast<std::uint64_t>(number), number);
  file.page(1, 'x', "pc.bios").end_section();
  file.part().page(5, 'B', "pc.ram").zero(0).end_section();
  file.last_part().page(1, 'C', "pc.ram").page(7, '\0').page(39, 'z').page(0, 'y', "pc.bios").end_section();
  return file.devices();
}

class SaveFileTest : public ::testing::Test {
 protected:
  SaveFileTest() {
    std::string path = (std::filesystem::temp_directory_path() / "icecore-memory-test-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("no temp folder");
    folder_ = path;
  }
  ~SaveFileTest() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path write(base::ByteView bytes, const std::string& name = "memory.save") const {
    std::ofstream(folder_ / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return folder_ / name;
  }

  // The RAM image with what has no data as zero.
  static base::Bytes image_of(const SavedMemory& memory) {
    base::Bytes image(memory.state().image_bytes());
    for (std::uint64_t at = 0; at < image.size(); at += k_block_alignment) {
      base::Bytes block(k_block_alignment, std::byte{0xee});
      if (memory.read(at, block, k_block_alignment) == 0) continue;
      std::copy(block.begin(), block.end(), image.begin() + static_cast<std::ptrdiff_t>(at));
    }
    return image;
  }

  // As a restore does: blocks in any order, none that is all zero.
  static void rebuild(const std::filesystem::path& path, const MemoryState& state, const base::Bytes& image) {
    const auto target = open_save_file(path, state, 1);
    for (std::uint64_t end = image.size(); end > 0; end -= k_block_alignment) {
      const base::ByteView block = base::ByteView(image).subspan(end - k_block_alignment, k_block_alignment);
      if (!base::is_zero(block)) target->writer(0).write(end - k_block_alignment, block, {});
    }
    target->finish({});
  }

  std::filesystem::path folder_;
};

}  // namespace icecore::memory
