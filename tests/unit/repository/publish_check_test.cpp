// SPDX-License-Identifier: Apache-2.0
#include "repository/publish_check.hpp"

#include "unit/repository/fixture.hpp"

namespace icecore::repository {
namespace {

// Tells before a part of a pack is read.
class ToldStorage : public contract::MemoryStorage {
 public:
  std::function<void()> on_read = [] {};

  base::Bytes get_range(const std::string& name, std::uint64_t offset, std::size_t length) override {
    on_read();
    return MemoryStorage::get_range(name, offset, length);
  }
};

class PublishCheck : public RepositoryFixture {
 protected:
  void SetUp() override {
    RepositoryFixture::SetUp();
    Repository::create(told_, small_options(), key());
    repository_ = std::make_unique<Repository>(told_, key(), folder_ / "cache");
    point_.disks.push_back({.target = "vda", .image = store_image({1, 2, 3, 4, 5, 6, 7, 8, 9})});
  }

  ToldStorage told_;
  Manifest point_;
};

// After a prune every process that shares the cache starts it anew, at a time of its own.
TEST_F(PublishCheck, WhatOthersHaveNotBroughtInAgainIsNotMissing) {
  int reads = 0;
  told_.on_read = [&] {
    if (++reads <= 2) repository_->index().clear();
  };
  EXPECT_EQ(look_blocks_up(*repository_, point_), 0U);
  EXPECT_GT(reads, 2);
}

TEST_F(PublishCheck, WhatIsGoneIsCounted) {
  for (const storage::ObjectInfo& object : told_.list("index")) told_.remove(object.name);
  EXPECT_EQ(look_blocks_up(*repository_, point_), 1U) << "the root, and what it would tell of";
}

}  // namespace
}  // namespace icecore::repository
