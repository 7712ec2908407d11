// SPDX-License-Identifier: Apache-2.0
#include "repository/block_writer.hpp"

#include <atomic>
#include <thread>

#include "unit/repository/fixture.hpp"

namespace icecore::repository {
namespace {

using base::Fault;

// Fails every put of a folder after a number of them.
class FailingStorage : public contract::MemoryStorage {
 public:
  std::string folder;
  int good = 0;
  void put(const std::string& name, std::span<const base::ByteView> parts) override {
    if (name.starts_with(folder) && good-- <= 0) base::fail(Fault::no_space, "no space for '{}'", name);
    MemoryStorage::put(name, parts);
  }
};

class BlockWriterTest : public RepositoryFixture {};

TEST_F(BlockWriterTest, ManyThreadsStoreEachBlockOnce) {
  create();
  BlockWriter writer(*repository_);
  std::atomic<std::uint64_t> claimed{0};
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&] {
        FrameBuilder builder(writer, FrameKind::data);
        for (std::uint64_t seed = 1; seed <= 300; ++seed) {
          const base::Bytes block = make_block(2 * seed);
          const BlockName name = writer.name_of(block);
          if (!writer.claim(name)) continue;
          ++claimed;
          if (auto frame = builder.add(name, block)) writer.add(std::move(*frame));
        }
        if (auto frame = builder.flush()) writer.add(std::move(*frame));
      });
    }
  }
  EXPECT_EQ(claimed, 300U);
  EXPECT_EQ(writer.finish().new_blocks, 300U);
  BlockReader reader(*repository_);
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    const base::Bytes block = make_block(2 * seed);
    EXPECT_EQ(reader.read_block(repository_->keys().name_of(block)), block);
  }
}

TEST_F(BlockWriterTest, ClaimedButNeverStoredIsABug) {
  create();
  BlockWriter writer(*repository_);
  EXPECT_TRUE(writer.claim(writer.name_of(make_block(1))));
  expect_fault(Fault::internal, "1 blocks were claimed", [&] { writer.finish(); });
}

TEST_F(BlockWriterTest, ZeroBlockIsNeverClaimed) {
  create();
  BlockWriter writer(*repository_);
  EXPECT_FALSE(writer.claim(writer.name_of(make_block(0))));
  EXPECT_EQ(writer.finish().packs, 0U);
}

TEST_F(BlockWriterTest, ConsecutiveBlocksAreSealedInPlace) {
  create();
  base::Bytes chunk = make_image({2, 4, 6});
  chunk.erase(chunk.end() - 100, chunk.end());  // a disk's last block may be short
  BlockWriter writer(*repository_);
  FrameBuilder builder(writer, FrameKind::data);
  std::vector<BlockName> names;
  for (std::size_t at = 0; at < chunk.size(); at += k_block) {
    names.push_back(
        writer.name_of(base::ByteView(chunk).subspan(at, std::min<std::size_t>(k_block, chunk.size() - at))));
    EXPECT_TRUE(writer.claim(names.back()));
  }
  writer.add(builder.seal(names, chunk, k_block));
  writer.finish();
  BlockReader reader(*repository_);
  base::Bytes read;
  for (const BlockName& name : names) {
    const base::Bytes block = reader.read_block(name);
    read.insert(read.end(), block.begin(), block.end());
  }
  EXPECT_EQ(read, chunk);
}

// Full at any object: the session fails, the repository stays as it was, the next session works.
TEST_F(BlockWriterTest, FullStorageLosesNothing) {
  for (const std::string folder : {"packs", "index"}) {
    FailingStorage storage;
    storage.folder = "keys-and-all-else";
    Repository::create(storage, small_options(), key());
    Repository repository(storage, key(), folder_ / ("cache-" + folder));
    storage.folder = folder;
    storage.good = 0;
    const base::Bytes block = make_block(2);
    for (int attempt = 0; attempt < 2; ++attempt) {
      BlockWriter writer(repository);
      FrameBuilder builder(writer, FrameKind::data);
      const BlockName name = writer.name_of(block);
      EXPECT_TRUE(writer.claim(name));
      EXPECT_FALSE(builder.add(name, block).has_value());
      writer.add(std::move(*builder.flush()));
      if (attempt == 0) {
        expect_fault(Fault::no_space, folder, [&] { writer.finish(); });
        EXPECT_FALSE(repository.locate(name).has_value());
        storage.good = 100;
      } else {
        writer.finish();
        EXPECT_TRUE(repository.locate(name).has_value());
      }
    }
  }
}

TEST_F(BlockWriterTest, UnknownCompressionLevelIsRefused) {
  create();
  expect_fault(Fault::usage, "no compression level 99", [&] { BlockWriter(*repository_, 99); });
}

}  // namespace
}  // namespace icecore::repository
