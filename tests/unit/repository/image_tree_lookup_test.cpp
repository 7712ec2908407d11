// SPDX-License-Identifier: Apache-2.0
#include "repository/image_tree_lookup.hpp"

#include "unit/repository/fixture.hpp"

namespace icecore::repository {
namespace {

// fan_out is 4: a tree of height 3 for 17 to 64 blocks.
class ImageTreeLookupTest : public RepositoryFixture {
 protected:
  void SetUp() override {
    RepositoryFixture::SetUp();
    create();
  }
};

TEST_F(ImageTreeLookupTest, NamesEveryBlockInAnyOrder) {
  std::vector<std::uint64_t> seeds(50, 0);
  for (const std::size_t i : {0, 3, 17, 18, 40}) seeds[i] = i + 1;
  const ImageRoot image = store_image(seeds);
  BlockReader reader(*repository_);
  ImageTreeLookup lookup(reader, repository_->config(), image);
  for (std::size_t step = 0; step < 50; ++step) {
    const std::size_t i = step * 7 % 50;
    const BlockName expected = seeds[i] == 0 ? BlockName{} : repository_->keys().name_of(make_block(seeds[i]));
    EXPECT_EQ(lookup.at(i), expected) << i;
  }
  EXPECT_TRUE(lookup.at(50).is_zero());
}

TEST_F(ImageTreeLookupTest, FindsTheLastDataBeforeAnyBlock) {
  std::vector<std::uint64_t> seeds(50, 0);
  for (const std::size_t i : {2, 17, 18, 40}) seeds[i] = i + 1;
  const ImageRoot image = store_image(seeds);
  BlockReader reader(*repository_);
  ImageTreeLookup lookup(reader, repository_->config(), image);
  for (std::uint64_t end = 0; end <= 50; ++end) {
    std::optional<std::uint64_t> expected;
    for (std::uint64_t i = 0; i < end; ++i) expected = seeds[i] != 0 ? i : expected;
    EXPECT_EQ(lookup.last_data_before(end), expected) << end;
  }
}

TEST_F(ImageTreeLookupTest, TellsWhichLeavesHoldData) {
  std::vector<std::uint64_t> seeds(50, 0);
  for (const std::size_t i : {2, 17, 18, 48}) seeds[i] = i + 1;
  const ImageRoot image = store_image(seeds);
  BlockReader reader(*repository_);
  ImageTreeLookup lookup(reader, repository_->config(), image);
  EXPECT_EQ(lookup.data_leaves(), (std::vector<std::uint64_t>{0, 4, 12}));
}

TEST_F(ImageTreeLookupTest, AnEmptyImageHasNothing) {
  const ImageRoot image = store_image(std::vector<std::uint64_t>(50));
  BlockReader reader(*repository_);
  ImageTreeLookup lookup(reader, repository_->config(), image);
  EXPECT_TRUE(lookup.at(7).is_zero());
  EXPECT_FALSE(lookup.last_data_before(50));
  EXPECT_TRUE(lookup.data_leaves().empty());
}

}  // namespace
}  // namespace icecore::repository
