// SPDX-License-Identifier: Apache-2.0
// What is understood of a save file, and that everything else is refused as such and never misread.
#include "memory/ram_stream.hpp"

#include <random>

#include "unit/memory/save_file_fixture.hpp"

namespace icecore::memory {
namespace {

using base::Fault;

class RamStreamTest : public SaveFileTest {
 protected:
  // What SavedMemory says of these bytes; empty when it understands them.
  std::string refusal(base::ByteView bytes) {
    try {
      const SavedMemory memory(write(bytes));
      return "";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), Fault::corrupt) << error.what();
      return error.what();
    }
  }
  static SaveFileBuilder one_block() {
    SaveFileBuilder file;
    file.stream().ram({{"pc.ram", 4 * k_page_bytes}});
    return file;
  }
};

TEST_F(RamStreamTest, ThePagesLastVersionCountsWherever) {
  const SavedMemory memory(write(sample_save_file().bytes()));
  const base::Bytes image = image_of(memory);
  const auto filled = [&](std::uint64_t at) { return std::to_integer<char>(image[at]); };
  EXPECT_EQ(filled(0), '\0') << "zero came later";
  EXPECT_EQ(filled(1 * k_page_bytes), 'C');
  EXPECT_EQ(filled(5 * k_page_bytes), 'B');
  EXPECT_EQ(filled(6 * k_page_bytes + 4095), 6);
  EXPECT_EQ(filled(7 * k_page_bytes), '\0');
  EXPECT_EQ(filled(39 * k_page_bytes), 'z');
  const std::uint64_t bios = memory.state().blocks.at(1).image_offset;
  EXPECT_EQ(bios % k_block_alignment, 0U);
  EXPECT_EQ(filled(bios), 'y');
  EXPECT_EQ(filled(bios + k_page_bytes), 'x');
}

TEST_F(RamStreamTest, PagesNeverSentAreKnown) {
  const SavedMemory memory(write(sample_save_file().bytes()));
  EXPECT_EQ(memory.state().blocks.at(0).pages.at(35), PageKind::absent);
  EXPECT_EQ(memory.state().blocks.at(0).pages.at(7), PageKind::zero);
  EXPECT_EQ(memory.state().blocks.at(1).pages.at(2), PageKind::absent);
}

TEST_F(RamStreamTest, TheDevicesAreKeptAsTheyAre) {
  const SavedMemory memory(write(sample_save_file().bytes()));
  EXPECT_EQ(base::to_string(memory.state().tail), "\x04" + std::string(5000, 'd'));
}

TEST_F(RamStreamTest, TheXmlIsFound) {
  const SavedMemory memory(write(sample_save_file().bytes()));
  EXPECT_EQ(xml_of_save_file(memory.state().prefix), "<domain/>");
}

TEST_F(RamStreamTest, ACompressedFileIsRefused) {
  SaveFileBuilder file(3);
  EXPECT_NE(refusal(file.bytes()).find("compressed"), std::string::npos);
}

TEST_F(RamStreamTest, AFileStillBeingWrittenIsRefused) {
  base::Bytes bytes = sample_save_file().bytes();
  const base::ByteView part = base::as_bytes("LibvirtQemudPart");
  std::copy(part.begin(), part.end(), bytes.begin());
  EXPECT_NE(refusal(bytes), "");
}

TEST_F(RamStreamTest, OtherLiveSectionsAreRefused) {
  SaveFileBuilder file = one_block();
  file.be(1, 1).be(9, 4).be(5, 1).text("block").be(0, 4).be(1, 4);
  EXPECT_NE(refusal(file.bytes()), "");
}

TEST_F(RamStreamTest, UnknownEncodingsAreRefused) {
  for (const std::uint64_t flags : {0x01U, 0x40U, 0x48U, 0x80U, 0x100U, 0x200U, 0x0aU, 0x00U}) {
    SaveFileBuilder file = one_block();
    file.last_part().record(0, flags, "pc.ram").text(std::string(k_page_bytes, 'p')).end_section().devices();
    EXPECT_NE(refusal(file.bytes()), "") << flags;
  }
}

TEST_F(RamStreamTest, PagesOutsideOfTheirBlockAreRefused) {
  SaveFileBuilder file = one_block();
  file.last_part().page(4, 'p', "pc.ram").end_section().devices();
  EXPECT_NE(refusal(file.bytes()), "");
  SaveFileBuilder nameless = one_block();
  nameless.last_part().page(0, 'p').end_section().devices();
  EXPECT_NE(refusal(nameless.bytes()), "");
  SaveFileBuilder stranger = one_block();
  stranger.last_part().page(0, 'p', "vga.vram").end_section().devices();
  EXPECT_NE(refusal(stranger.bytes()), "");
}

TEST_F(RamStreamTest, ImpossibleBlocksAreRefused) {
  for (const std::vector<RamBlock>& blocks : std::vector<std::vector<RamBlock>>{
           {{"pc.ram", 100}}, {{"pc.ram", 1ULL << 45U}}, {{"a", k_page_bytes}, {"a", k_page_bytes}}, {{"", 4096}}}) {
    SaveFileBuilder file;
    file.stream().ram(blocks).last_part().end_section().devices();
    EXPECT_NE(refusal(file.bytes()), "");
  }
}

TEST_F(RamStreamTest, ASectionWithoutFooterIsRefused) {
  SaveFileBuilder file = one_block();
  file.last_part().page(0, 'p', "pc.ram").be(0x10, 8).devices();
  EXPECT_NE(refusal(file.bytes()), "");
}

TEST_F(RamStreamTest, CutAnywhereBeforeTheDevicesItIsRefused) {
  const base::Bytes bytes = sample_save_file().bytes();
  const std::size_t devices = bytes.size() - 5001;
  for (std::size_t length = 0; length < devices; length += length < 400 || length > devices - 100 ? 1 : 997) {
    EXPECT_NE(refusal(base::ByteView(bytes).first(length)), "") << length;
  }
}

// Garbage is refused, or it changed only what a page holds.
TEST_F(RamStreamTest, GarbageNeverHurts) {
  std::mt19937 random(20);
  const base::Bytes sound = sample_save_file().bytes();
  for (int round = 0; round < 400; ++round) {
    base::Bytes bytes = sound;
    for (int change = 0; change < 3; ++change) bytes[random() % 700] = static_cast<std::byte>(random());
    bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    refusal(bytes);
  }
}

}  // namespace
}  // namespace icecore::memory
