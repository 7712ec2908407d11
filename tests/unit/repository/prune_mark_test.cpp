// SPDX-License-Identifier: Apache-2.0
#include "repository/prune_mark.hpp"

#include "repository/envelope.hpp"
#include "repository/index_object.hpp"
#include "repository/pack_writer.hpp"
#include "unit/repository/fixture.hpp"

namespace icecore::repository {
namespace {

class PruneMarkTest : public RepositoryFixture {
 protected:
  void SetUp() override {
    RepositoryFixture::SetUp();
    create();
  }
  // A pack of as many blocks as fit, a byte each: only its table is looked at.
  PackEntry store_full_pack() {
    SealedFrame frame;
    frame.entry.stored_length = frame.entry.raw_length = k_pack_blocks_max;
    frame.stored = base::Buffer(k_pack_blocks_max);
    for (std::size_t i = 0; i < k_pack_blocks_max; ++i) {
      BlockName name;
      fill_random(name.bytes);
      frame.entry.blocks.push_back({name, 1});
    }
    PackWriter pack(FrameKind::data, {});
    pack.add(repository_->config(), std::move(frame));
    std::uint64_t stored = 0;
    return pack.write(storage_, repository_->keys(), stored);
  }
};

// As a backup writes it: an index object has its size, however much there is to say.
TEST_F(PruneMarkTest, ALargeRescueWritesSeveralIndexObjects) {
  constexpr std::size_t k_packs = 6;
  PruneMark mark{base::random_id(16), base::now(), {}};
  std::set<BlockName> wanted;
  for (std::size_t i = 0; i < k_packs; ++i) {
    const PackEntry pack = store_full_pack();
    mark.packs.push_back(pack.id);
    wanted.insert(pack.frames.at(0).blocks.at(i).name);
  }
  const std::set<BlockName> names = wanted;
  store_prune_mark(*repository_, mark);
  EXPECT_EQ(rescue_marked_packs(*repository_, wanted), k_packs);
  EXPECT_TRUE(wanted.empty());
  EXPECT_EQ(list_indexes(storage_).size(), 2U);
  repository_->refresh_index();
  for (const BlockName& name : names) EXPECT_TRUE(repository_->locate(name));
}

}  // namespace
}  // namespace icecore::repository
