// SPDX-License-Identifier: Apache-2.0
#include "disk/dirty_bitmap.hpp"

#include "base/bytes.hpp"
#include "image_fixture.hpp"

namespace icecore::disk {
namespace {

using base::k_gib;
using base::k_kib;
using base::k_mib;

class DirtyBitmap : public ImageTest {
 protected:
  static void add_bitmap(const std::filesystem::path& image, const std::string& name) {
    run({"qemu-img", "bitmap", "--add", "-f", "qcow2", image.string(), name});
  }
  static std::vector<Extent> read(const std::filesystem::path& image, const std::string& bitmap,
                                  std::uint64_t block = 64 * k_kib) {
    return read_dirty_bitmap(inspect_image(image, "qcow2"), bitmap, block, {});
  }
};

TEST_F(DirtyBitmap, TellsWhatWasWrittenSinceItWasMade) {
  const auto image = make("a.qcow2", "qcow2", "64M");
  io(image, "qcow2", {"write -P 1 0 1M"});
  add_bitmap(image, "marks");
  io(image, "qcow2", {"write -P 2 5M 4k", "write -z 8M 128k", "discard 16M 64k"});
  EXPECT_EQ(read(image, "marks"),
            (std::vector<Extent>{{5 * k_mib, 64 * k_kib}, {8 * k_mib, 128 * k_kib}, {16 * k_mib, 64 * k_kib}}));
}

TEST_F(DirtyBitmap, IsEmptyWhereNothingWasWritten) {
  const auto image = make("a.qcow2", "qcow2", "64M");
  add_bitmap(image, "marks");
  EXPECT_TRUE(read(image, "marks").empty());
}

TEST_F(DirtyBitmap, CutsTheLastBlockAtTheEndOfTheDisk) {
  const auto image = make("a.qcow2", "qcow2", "1000k");
  add_bitmap(image, "marks");
  io(image, "qcow2", {"write 996k 4k"});
  EXPECT_EQ(read(image, "marks"), (std::vector<Extent>{{960 * k_kib, 40 * k_kib}}));
}

TEST_F(DirtyBitmap, GrowsToWholeBlocks) {
  const auto image = make("a.qcow2", "qcow2", "8M");
  add_bitmap(image, "marks");
  io(image, "qcow2", {"write 1088k 4k", "write 1920k 4k"});
  EXPECT_EQ(read(image, "marks", k_mib), (std::vector<Extent>{{k_mib, k_mib}}));
}

TEST_F(DirtyBitmap, ReadsAHugeDisk) {
  const auto image = make("a.qcow2", "qcow2", "1T");
  add_bitmap(image, "marks");
  io(image, "qcow2", {"write 900G 64k", "write 3G 64k"});
  EXPECT_EQ(read(image, "marks"), (std::vector<Extent>{{3 * k_gib, 64 * k_kib}, {900 * k_gib, 64 * k_kib}}));
}

TEST_F(DirtyBitmap, ToldProblemsAreMissingInconsistentAndSwitchedOff) {
  ImageInfo image{.bitmaps = {{.name = "good", .recording = true},
                              {.name = "killed", .recording = true, .in_use = true},
                              {.name = "off"}}};
  EXPECT_EQ(bitmap_problem(image, "good"), "");
  EXPECT_NE(bitmap_problem(image, "none").find("gone"), std::string::npos);
  EXPECT_NE(bitmap_problem(image, "killed").find("inconsistent"), std::string::npos);
  EXPECT_NE(bitmap_problem(image, "off").find("switched off"), std::string::npos);
}

TEST_F(DirtyBitmap, AMissingOneIsAnError) {
  const auto image = make("a.qcow2", "qcow2", "1M");
  const base::Error error = error_of([&] { read(image, "none"); });
  EXPECT_NE(std::string(error.what()).find("none"), std::string::npos) << error.what();
}

TEST_F(DirtyBitmap, CanBeRemovedAndRemovedAgain) {
  const auto image = make("a.qcow2", "qcow2", "1M");
  add_bitmap(image, "marks");
  const ImageInfo before = inspect_image(image, "qcow2");
  remove_bitmap(before, "marks");
  EXPECT_TRUE(inspect_image(image, "qcow2").bitmaps.empty());
  EXPECT_NO_THROW(remove_bitmap(inspect_image(image, "qcow2"), "marks"));
}

TEST(DirtyExtentsTest, TooManyBecomeFewerThatHoldThemAll) {
  constexpr std::uint64_t k_block = 64 * k_kib;
  DirtyExtents dirty(k_gib, k_block, 16);
  for (std::uint64_t at = 0; at < k_gib; at += 4 * k_block) dirty.add({at, 1});
  const std::vector<Extent> extents = dirty.take();
  EXPECT_LE(extents.size(), 16U);
  std::size_t in = 0;
  for (std::uint64_t at = 0; at < k_gib; at += 4 * k_block) {
    while (in < extents.size() && extents[in].end() <= at) ++in;
    ASSERT_LT(in, extents.size());
    EXPECT_LE(extents[in].offset, at);
    EXPECT_GE(extents[in].end(), at + k_block);
  }
}

TEST(DirtyExtentsTest, NeighboursBecomeOne) {
  DirtyExtents dirty(k_mib, 64 * k_kib);
  dirty.add({0, 10});
  dirty.add({10, 10});
  dirty.add({64 * k_kib, 1});
  dirty.add({200 * k_kib, 1});
  EXPECT_EQ(dirty.take(), (std::vector<Extent>{{0, 128 * k_kib}, {192 * k_kib, 64 * k_kib}}));
}

}  // namespace
}  // namespace icecore::disk
