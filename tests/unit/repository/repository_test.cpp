// SPDX-License-Identifier: Apache-2.0
#include "repository/repository.hpp"

#include "unit/repository/fixture.hpp"

namespace icecore::repository {
namespace {

using base::Fault;

class RepositoryTest : public RepositoryFixture {};

TEST_F(RepositoryTest, RoundTripEncryptedAndPlain) {
  const std::vector<std::uint64_t> seeds = {1, 2, 0, 3, 2, 0, 0, 0, 0, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0, 13, 1, 0};
  for (const bool encrypt : {true, false}) {
    SCOPED_TRACE(encrypt);
    storage_.clear();
    create(encrypt);
    const ImageRoot image = store_image(seeds);
    EXPECT_EQ(read_image(image), make_image(seeds));
    reopen(encrypt);
    EXPECT_EQ(read_image(image), make_image(seeds));
  }
}

TEST_F(RepositoryTest, SecondBackupOfTheSameStoresNothing) {
  create();
  const ImageRoot first = store_image({1, 2, 3, 4, 5});
  EXPECT_GT(stats_.new_blocks, 0U);
  const ImageRoot second = store_image({1, 2, 3, 4, 5});
  EXPECT_EQ(first, second);
  EXPECT_EQ(stats_.new_blocks, 0U);
  EXPECT_EQ(stats_.stored_bytes, 0U);
}

TEST_F(RepositoryTest, DuplicateBlocksOfOneSessionAreStoredOnce) {
  create();
  store_image({1, 1, 1, 1, 1, 1, 1, 1});
  EXPECT_EQ(stats_.new_blocks, 1U + 2U);  // and two tree nodes
}

TEST_F(RepositoryTest, UnfinishedSessionIsOnlyGarbage) {
  create();
  {
    BlockWriter writer(*repository_);
    store_image(writer, {1, 2, 3});
  }
  store_image({1, 2, 3});
  EXPECT_EQ(stats_.new_blocks, 4U);
}

TEST_F(RepositoryTest, MissingRepositoryNamesTheNextCommand) {
  try {
    reopen();
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), Fault::not_found);
    EXPECT_EQ(error.hint(), "icecore init -r memory");
  }
}

TEST_F(RepositoryTest, CreatingTwiceIsRefused) {
  create();
  expect_fault(Fault::conflict, "already", [&] { Repository::create(storage_, small_options(), key()); });
}

TEST_F(RepositoryTest, WrongKeyIsDenied) {
  create();
  std::filesystem::remove(key_path());
  create_key_file(key_path());
  expect_fault(Fault::denied, "no key slot of 'memory' opens with this key file", [&] { reopen(); });
}

TEST_F(RepositoryTest, PassphraseOpens) {
  const auto phrase = [](std::string_view text) { return Passphrase{Secret::copy_of(base::as_bytes(text))}; };
  Repository::create(storage_, small_options(), phrase("right"));
  Repository(storage_, phrase("right"), folder_ / "cache");
  expect_fault(Fault::denied, "passphrase", [&] { Repository(storage_, phrase("wrong"), folder_ / "cache"); });
  expect_fault(Fault::denied, "key file", [&] { Repository(storage_, key(), folder_ / "cache"); });
}

TEST_F(RepositoryTest, KeyIsAskedForOrRefusedAsTheRepositoryIs) {
  create();
  expect_fault(Fault::usage, "is needed", [&] { reopen(false); });
  storage_.clear();
  create(false);
  expect_fault(Fault::usage, "not encrypted", [&] { reopen(true); });
}

TEST_F(RepositoryTest, LostCacheIsRebuilt) {
  create();
  const ImageRoot image = store_image({1, 2, 3});
  repository_.reset();
  std::filesystem::remove_all(folder_ / "cache");
  reopen();
  EXPECT_EQ(read_image(image), make_image({1, 2, 3}));
}

TEST_F(RepositoryTest, ConfigOfAnotherRepositoryOpensNoSlot) {
  create();
  const base::Bytes ours = storage_.get("config", 1 << 20);
  const std::vector<storage::ObjectInfo> keys = storage_.list("keys");
  Config changed = repository_->config();
  changed.pack_bytes *= 2;
  storage_.replace("config", encode_config(changed));
  expect_fault(Fault::denied, "no key slot", [&] { reopen(); });
  storage_.replace("config", ours);
  reopen();
}

}  // namespace
}  // namespace icecore::repository
