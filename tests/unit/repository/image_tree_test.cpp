// SPDX-License-Identifier: Apache-2.0
#include "repository/image_tree.hpp"

#include "unit/repository/fixture.hpp"

namespace icecore::repository {
namespace {

using base::Fault;

// fan_out is 4: sixteen blocks fill a tree of height 2.
class ImageTree : public RepositoryFixture {
 protected:
  void SetUp() override {
    RepositoryFixture::SetUp();
    create();
  }
  // `old` with `changes` on top, written as a tree based on the old one.
  ImageRoot store_changes(const ImageRoot& old, std::size_t blocks,
                          const std::map<std::size_t, std::uint64_t>& changes) {
    BlockWriter writer(*repository_);
    FrameBuilder builder(writer, FrameKind::data);
    ImageTreeWriter tree(writer, blocks * k_block, old);
    for (const auto& [index, seed] : changes) {
      const base::Bytes block = make_block(seed);
      const BlockName name = writer.name_of(block);
      tree.set(index, name);
      if (writer.claim(name)) {
        EXPECT_FALSE(builder.add(name, block).has_value());
      }
      if (auto frame = builder.flush()) writer.add(std::move(*frame));
    }
    const ImageRoot root = tree.finish();
    stats_ = writer.finish();
    return root;
  }
};

TEST_F(ImageTree, Heights) {
  EXPECT_EQ(tree_height(0, 4), 1U);
  EXPECT_EQ(tree_height(4, 4), 1U);
  EXPECT_EQ(tree_height(5, 4), 2U);
  EXPECT_EQ(tree_height(16, 4), 2U);
  EXPECT_EQ(tree_height(17, 4), 3U);
  EXPECT_EQ(tree_height(1ULL << 24, 1024), 3U);
}

TEST_F(ImageTree, AllZeroDiskStoresNothing) {
  const ImageRoot image = store_image(std::vector<std::uint64_t>(100));
  EXPECT_TRUE(image.root.is_zero());
  EXPECT_EQ(stats_.stored_bytes, 0U);
  EXPECT_EQ(read_image(image), base::Bytes(100 * k_block));
}

TEST_F(ImageTree, EverySizeRoundTrips) {
  for (std::size_t blocks = 0; blocks <= 70; ++blocks) {
    std::vector<std::uint64_t> seeds(blocks);
    for (std::size_t i = 0; i < blocks; ++i) seeds[i] = i % 5 == 3 ? 0 : i + 1;
    EXPECT_EQ(read_image(store_image(seeds)), make_image(seeds)) << blocks;
  }
}

TEST_F(ImageTree, ChangesOnABaseGiveTheTreeOfTheWhole) {
  std::vector<std::uint64_t> seeds(70, 0);
  for (std::size_t i = 0; i < seeds.size(); i += 3) seeds[i] = i + 1;
  const ImageRoot old = store_image(seeds);
  const std::map<std::size_t, std::uint64_t> changes = {{0, 0}, {1, 900}, {33, 901}, {34, 902}, {69, 903}};
  const ImageRoot changed = store_changes(old, seeds.size(), changes);
  for (const auto& [index, seed] : changes) seeds[index] = seed;
  EXPECT_EQ(changed, store_image(seeds));
  EXPECT_EQ(read_image(changed), make_image(seeds));
}

TEST_F(ImageTree, NoChangeSharesTheRoot) {
  const ImageRoot old = store_image({1, 2, 3, 4, 5, 6});
  EXPECT_EQ(store_changes(old, 6, {}), old);
  EXPECT_EQ(stats_.stored_bytes, 0U);
}

TEST_F(ImageTree, GrownDiskKeepsTheBase) {
  std::vector<std::uint64_t> seeds = {1, 2, 3};
  const ImageRoot old = store_image(seeds);
  seeds.resize(100);
  EXPECT_EQ(read_image(store_changes(old, 100, {})), make_image(seeds));
  seeds[1] = 7;
  seeds[99] = 8;
  EXPECT_EQ(read_image(store_changes(old, 100, {{1, 7}, {99, 8}})), make_image(seeds));
  expect_fault(Fault::usage, "cannot build on", [&] { store_changes(old, 2, {}); });
}

TEST_F(ImageTree, HeightThatDoesNotFitIsCorrupt) {
  ImageRoot image = store_image({1, 2, 3, 4, 5, 6});
  image.height = 1;
  expect_fault(Fault::corrupt, "height", [&] { read_image(image); });
  image = store_image({1, 2, 3});
  image.disk_size = 2 * k_block;
  expect_fault(Fault::corrupt, "behind the disk's end", [&] { read_image(image); });
}

}  // namespace
}  // namespace icecore::repository
