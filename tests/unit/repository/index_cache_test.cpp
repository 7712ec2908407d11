// SPDX-License-Identifier: Apache-2.0
#include "repository/index_cache.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "unit/repository/fixture.hpp"

namespace icecore::repository {
namespace {

class IndexCacheTest : public RepositoryFixture {
 protected:
  static PackEntry make_pack(std::uint64_t seed, std::size_t blocks) {
    PackEntry pack;
    const base::Bytes id = make_block(2 * seed + 1, 32);
    std::copy(id.begin(), id.end(), pack.id.bytes.begin());
    FrameEntry frame{.offset = 32, .stored_length = 100, .raw_length = 200, .compression = Compression::zstd};
    for (std::size_t i = 0; i < blocks; ++i) frame.blocks.push_back({block_name(seed, i), 10});
    pack.frames.push_back(frame);
    return pack;
  }
  static BlockName block_name(std::uint64_t seed, std::size_t i) {
    return BlockName::from(make_block(2 * (seed * 100000 + i) + 1, 32));
  }
  // A file system that becomes full after so many bytes more.
  template <typename Action>
  void with_room(std::uint64_t bytes, Action&& action) {
    struct rlimit before {};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit full { std::filesystem::file_size(data_file()) + bytes, before.rlim_max };
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
    action();
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    std::signal(SIGXFSZ, handler);
  }
  // The database file of the only cache in the folder.
  std::filesystem::path data_file() const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
      if (entry.path().filename() == "data.mdb") return entry.path();
    }
    return {};
  }
};

TEST_F(IndexCacheTest, FindsWhatWasAdded) {
  const auto cache = IndexCache::open(folder_ / "c");
  cache->add("one", {make_pack(1, 3), make_pack(2, 1)});
  const auto found = cache->find(block_name(1, 2));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->frame.pack, make_pack(1, 1).id);
  EXPECT_EQ(found->offset, 20U);
  EXPECT_EQ(found->length, 10U);
  EXPECT_EQ(found->frame.stored_length, 100U);
  EXPECT_EQ(cache->find(block_name(2, 0))->frame.pack, make_pack(2, 1).id);
  EXPECT_FALSE(cache->find(block_name(3, 0)).has_value());
  EXPECT_EQ(cache->loaded(), (std::set<std::string>{"one"}));
  cache->clear();
  EXPECT_FALSE(cache->contains(block_name(1, 2)));
  EXPECT_TRUE(cache->loaded().empty());
}

TEST_F(IndexCacheTest, MoreNamesThanOneTransactionTakes) {
  const auto cache = IndexCache::open(folder_ / "c");
  cache->add("one", {make_pack(1, 20000)});
  EXPECT_TRUE(cache->contains(block_name(1, 0)));
  EXPECT_TRUE(cache->contains(block_name(1, 19999)));
}

TEST_F(IndexCacheTest, OneObjectForOneFolder) {
  const auto cache = IndexCache::open(folder_ / "c");
  EXPECT_EQ(IndexCache::open(folder_ / "." / "c"), cache);
}

// Forked before the cache is opened: LMDB's environments must not be carried across fork().
TEST_F(IndexCacheTest, OtherProcessesSeeWhatIsAdded) {
  int added[2];
  ASSERT_EQ(::pipe(added), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    char byte = 0;
    bool good = ::read(added[0], &byte, 1) == 1;
    const auto cache = IndexCache::open(folder_ / "c");
    good = good && cache->contains(block_name(1, 0));
    cache->add("nine", {make_pack(9, 1)});
    ::_exit(good ? 0 : 1);
  }
  const auto cache = IndexCache::open(folder_ / "c");
  cache->add("one", {make_pack(1, 3)});
  EXPECT_EQ(::write(added[1], "x", 1), 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ::close(added[0]);
  ::close(added[1]);
  EXPECT_TRUE(cache->contains(block_name(9, 0))) << "the child added it";
}

TEST_F(IndexCacheTest, CutOffOrOverwrittenDatabaseIsMadeAnew) {
  create();
  const ImageRoot image = store_image({1, 2, 3, 4, 5, 6, 7, 8, 9});
  for (const bool cut : {true, false}) {
    repository_.reset();
    const std::filesystem::path file = data_file();
    ASSERT_FALSE(file.empty());
    if (cut) {
      std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
    } else {
      std::ofstream(file, std::ios::in | std::ios::binary) << std::string(8192, 'x');
    }
    reopen();
    EXPECT_EQ(read_image(image), make_image({1, 2, 3, 4, 5, 6, 7, 8, 9})) << cut;
  }
}

// LMDB may die of a damaged page. Whoever it kills leaves a mark, and the next one starts the cache anew.
TEST_F(IndexCacheTest, DamagedPagesKillOneProcessAtMost) {
  IndexCache::open(folder_ / "c")->add("one", {make_pack(1, 20000)});
  {
    std::fstream file(data_file(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(2 * 4096);
    file << std::string(std::filesystem::file_size(data_file()) - 2 * 4096, '\xa5');
  }
  const auto use_in_child = [&] {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        const auto cache = IndexCache::open(folder_ / "c");
        cache->add("two", {make_pack(2, 20000)});
        ::_exit(cache->contains(block_name(2, 19999)) ? 0 : 1);  // dies with the cache open, too
      } catch (const base::Error&) {
        ::_exit(2);
      }
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
  };
  use_in_child();
  EXPECT_EQ(use_in_child(), 0);
  EXPECT_FALSE(IndexCache::open(folder_ / "c")->contains(block_name(1, 0))) << "begun anew";
}

TEST_F(IndexCacheTest, AProperEndKeepsTheCache) {
  IndexCache::open(folder_ / "c")->add("one", {make_pack(1, 3)});
  EXPECT_TRUE(IndexCache::open(folder_ / "c")->contains(block_name(1, 0)));
}

// The cache says other places than the repository does: the hash of the block finds out, the index is made
// anew, and the right bytes come out.
TEST_F(IndexCacheTest, WrongLocationsAreFoundOut) {
  create();
  const std::vector<std::uint64_t> seeds = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  const ImageRoot image = store_image(seeds);
  for (int wrong = 0; wrong < 4; ++wrong) {
    reopen();
    std::vector<PackEntry> packs;
    for (const storage::ObjectInfo& object : storage_.list("packs")) {
      packs.push_back(read_pack_footer(storage_, repository_->keys(), repository_->config(),
                                       parse_pack_object(object.name).value(), object.size));
    }
    for (PackEntry& pack : packs) {
      for (FrameEntry& frame : pack.frames) {
        if (wrong == 0) std::reverse(frame.blocks.begin(), frame.blocks.end());
        if (wrong == 1) frame.offset += 1;
        if (wrong == 2) frame.raw_length = 0xffffffff;
        if (wrong == 3) pack.id.bytes[0] ^= std::byte{1};
      }
    }
    repository_->index().add("lies", packs);
    EXPECT_EQ(read_image(image), make_image(seeds)) << wrong;
    repository_->rebuild_index();
  }
}

// Another process does after each prune, and a long restore sees several.
TEST_F(IndexCacheTest, AsOftenAsOthersStartItAnewItIsBroughtInAgain) {
  create();
  const std::vector<std::uint64_t> seeds = {1, 2, 3, 4, 5};
  const ImageRoot image = store_image(seeds);
  for (int prune = 0; prune < 3; ++prune) {
    repository_->index().clear();
    EXPECT_EQ(read_image(image), make_image(seeds)) << prune;
  }
  EXPECT_FALSE(repository_->renew_index()) << "nobody started it anew";
}

// A backup adds what it has written while another process clears, and says that all of it is there.
TEST_F(IndexCacheTest, WhatIsClearedWhileItIsAddedIsAddedAgain) {
  constexpr std::size_t k_packs = 12;  // more names than go into one transaction
  constexpr std::size_t k_blocks = 4000;
  const auto cache = IndexCache::open(folder_ / "c");
  std::vector<PackEntry> packs;
  for (std::size_t i = 0; i < k_packs; ++i) packs.push_back(make_pack(i, k_blocks));
  for (int round = 0; round < 20; ++round) {
    std::jthread others([&] {
      for (int clears = 0; clears < 3; ++clears) cache->clear();
    });
    cache->add("one", packs);
    others.join();
    const bool said = cache->loaded().contains("one");
    for (std::size_t i = 0; i < k_packs && said; ++i) EXPECT_TRUE(cache->contains(block_name(i, 0))) << i;
  }
}

// Its blocks would pass for stored, though a prune takes them: no index that was loaded is ever missing.
TEST_F(IndexCacheTest, WhatIsLeftOfAnInterruptedAddingIsForgottenWithItsIndex) {
  create();
  repository_->begin_relying_on_index();
  IndexCache& cache = repository_->index();
  std::vector<PackEntry> packs;
  for (std::uint64_t i = 1; i < 16; ++i)
    packs.push_back(make_pack(i, 4000));  // more names than go into one transaction
  with_room(3 * base::k_mib,
            [&] { expect_fault(base::Fault::unavailable, "index cache", [&] { cache.add("lost", packs); }); });
  ASSERT_TRUE(cache.contains(block_name(1, 0)) && !cache.loaded().contains("lost")) << "a part of it";
  EXPECT_FALSE(repository_->index_still_holds());
  repository_->refresh_index();
  EXPECT_FALSE(cache.contains(block_name(1, 0)));
  EXPECT_TRUE(cache.begun().empty());
}

TEST_F(IndexCacheTest, BringingInTakesTurns) {
  const auto cache = IndexCache::open(folder_ / "c");
  std::optional<base::Fd> turn = cache->take_turn();
  EXPECT_TRUE(turn);
  EXPECT_FALSE(cache->take_turn(base::Milliseconds(0)));
  turn.reset();
  EXPECT_TRUE(cache->take_turn(base::Milliseconds(0)));
}

TEST_F(IndexCacheTest, IndexObjectThatIsGoneIsForgotten) {
  create();
  store_image({1, 2, 3});
  for (const storage::ObjectInfo& object : storage_.list("index")) storage_.remove(object.name);
  store_image({1, 2, 3});
  EXPECT_EQ(stats_.new_blocks, 4U);
}

}  // namespace
}  // namespace icecore::repository
