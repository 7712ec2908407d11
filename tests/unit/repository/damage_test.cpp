// SPDX-License-Identifier: Apache-2.0
// Every object kind, cut off at every byte and with every byte changed: the damage is found and the object
// named, or the bytes that come out are the right ones. Never anything else.
#include "repository/envelope.hpp"
#include "repository/index_object.hpp"
#include "repository/protection.hpp"
#include "repository/repository_lock.hpp"
#include "unit/repository/fixture.hpp"

namespace icecore::repository {
namespace {

using base::Fault;

constexpr std::uint64_t k_any_size = base::k_mib;

// Parameter: encrypted?
class Damage : public RepositoryFixture, public testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    RepositoryFixture::SetUp();
    create(GetParam());
  }

  // Puts each damaged form of `object` in its place and runs read(), which must throw an Error whose text
  // holds `named`; the fault must be corrupt, except that a changed version number may be read as newer.
  template <typename Action>
  void damage_everywhere(const std::string& object, const std::string& named, Action&& read) {
    const base::Bytes whole = storage_.get(object, k_any_size);
    read();  // undamaged it reads
    for (std::size_t length = 0; length < whole.size(); ++length) {
      storage_.replace(object, base::ByteView(whole).first(length));
      expect_named(named, fmt::format("cut off at {} of {}", length, whole.size()), read);
    }
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (const unsigned mask : {1U, 0x80U, 0xffU}) {
        base::Bytes changed = whole;
        changed[at] ^= static_cast<std::byte>(mask);
        storage_.replace(object, changed);
        if (at < proved_until_ && at >= k_pack_header_bytes) {
          expect_named_or_right(named, read);
        } else {
          expect_named(named, fmt::format("byte {} of {} changed by {:#x}", at, whole.size(), mask), read);
        }
      }
    }
    storage_.replace(object, whole);
    read();
  }

  template <typename Action>
  static void expect_named(const std::string& named, const std::string& damage, Action&& read) {
    try {
      read();
      FAIL() << damage << ": read as if nothing were wrong";
    } catch (const base::Error& error) {
      const bool expected = error.fault() == Fault::corrupt || (error.fault() == Fault::usage && says_newer(error));
      ASSERT_TRUE(expected) << damage << ": " << to_string(error.fault()) << ": " << error.what();
      ASSERT_NE(std::string_view(error.what()).find(named), std::string_view::npos) << damage << ": " << error.what();
    }
  }
  // zstd has bits that mean nothing. Without a tag only the blocks prove a frame, and read() compares them.
  template <typename Action>
  static void expect_named_or_right(const std::string& named, Action&& read) {
    try {
      read();
    } catch (const base::Error& error) {
      ASSERT_EQ(error.fault(), Fault::corrupt) << error.what();
      ASSERT_NE(std::string_view(error.what()).find(named), std::string_view::npos) << error.what();
    }
  }
  static bool says_newer(const base::Error& error) {
    return std::string_view(error.what()).find("newer than") != std::string_view::npos;
  }

  std::string only_object(const std::string& folder) {
    const std::vector<storage::ObjectInfo> objects = storage_.list(folder);
    EXPECT_EQ(objects.size(), 1U) << folder;
    return objects.at(0).name;
  }
  std::size_t proved_until_ = 0;  // from the header to there an object is proved by its blocks
  static PackId pack_id(const std::string& object) { return parse_pack_object(object).value(); }
};

TEST_P(Damage, Config) {
  damage_everywhere("config", "config", [&] { reopen(GetParam()); });
}

TEST_P(Damage, KeySlot) {
  if (!GetParam()) return;
  const std::string object = only_object("keys");
  damage_everywhere(object, object, [&] { reopen(); });
}

TEST_P(Damage, Index) {
  store_image({1, 2, 3});
  const std::string object = only_object("index");
  const std::string id = object.substr(object.rfind('/') + 1);
  damage_everywhere(object, object, [&] {
    decode_index(repository_->keys(), repository_->config(), id, storage_.get(object, k_any_size));
  });
}

TEST_P(Damage, Manifest) {
  Manifest manifest;
  manifest.id = base::random_id(16);
  manifest.domain_uuid = "0f5b8a7e-6a9b-4b57-9d0a-0a8f6f1d2c3b";
  manifest.disks.push_back({.target = "vda"});
  manifest.live_xml = "<domain/>";
  const std::string object = publish(*repository_, manifest);
  damage_everywhere(object, object, [&] { load_manifest(*repository_, object); });
}

TEST_P(Damage, Protection) {
  const std::string point = base::random_id(16);
  const std::string object = protection_object(point);
  storage_.put(object, encode_protection(repository_->keys(), {point, "kept", base::now(), "host1"}));
  damage_everywhere(object, object,
                    [&] { decode_protection(repository_->keys(), point, storage_.get(object, k_any_size)); });
}

TEST_P(Damage, Lock) {
  const LockInfo lock = describe_self(LockMode::shared, "backup");
  const std::string object = lock_object(lock.id);
  storage_.put(object, encode_lock(repository_->keys(), lock));
  damage_everywhere(object, object, [&] { RepositoryLock(*repository_, LockMode::shared, "backup"); });
}

// A flip in the frames is for the frame's reader to find, anything else for the footer's.
TEST_P(Damage, PackFooterOrFrame) {
  const ImageRoot image = store_image({2, 3});
  for (const storage::ObjectInfo& object : storage_.list("packs")) {
    const PackId id = pack_id(object.name);
    const base::Bytes whole = storage_.get(object.name, k_any_size);
    if (!GetParam()) proved_until_ = parse_pack(repository_->keys(), repository_->config(), id, whole).frames_end();
    damage_everywhere(object.name, id.hex(), [&] {
      const std::uint64_t size = storage_.get(object.name, k_any_size).size();
      const PackEntry pack = read_pack_footer(storage_, repository_->keys(), repository_->config(), id, size);
      BlockReader reader(*repository_);
      for (const FrameEntry& frame : pack.frames) {
        const FrameLocation at{id, pack.kind, frame.offset, frame.stored_length, frame.raw_length, frame.compression};
        std::vector<WantedBlock> wanted;
        std::uint32_t offset = 0;
        for (const FrameBlock& block : frame.blocks) {
          wanted.push_back({block.name, offset, block.length});
          offset += block.length;
        }
        reader.read_frame(at, wanted);
      }
    });
  }
  EXPECT_EQ(read_image(image), make_image({2, 3}));
}

// The name is the hash of the content: whoever has no key finds any damage too.
TEST_P(Damage, PackName) {
  store_image({2, 3});
  for (const storage::ObjectInfo& object : storage_.list("packs")) {
    const base::Bytes whole = storage_.get(object.name, k_any_size);
    EXPECT_EQ(pack_object({piecewise_digest_of(whole)}), object.name);
  }
}

// Restoring through the index: an image is read right or not at all.
TEST_P(Damage, RestoreIsRightOrFails) {
  const std::vector<std::uint64_t> seeds = {2, 3, 0, 4};
  const ImageRoot image = store_image(seeds);
  const base::Bytes right = make_image(seeds);
  for (const storage::ObjectInfo& object : storage_.list("packs")) {
    const base::Bytes whole = storage_.get(object.name, k_any_size);
    for (std::size_t at = 0; at < whole.size(); at += 3) {
      base::Bytes changed = whole;
      changed[at] ^= std::byte{0x10};
      storage_.replace(object.name, changed);
      try {
        ASSERT_EQ(read_image(image), right) << at;
      } catch (const base::Error& error) {
        ASSERT_EQ(error.fault(), Fault::corrupt) << error.what();
      }
    }
    storage_.replace(object.name, whole);
  }
}

TEST_P(Damage, LostPackIsNamed) {
  const ImageRoot image = store_image({2, 3});
  for (const storage::ObjectInfo& object : storage_.list("packs")) storage_.remove(object.name);
  try {
    read_image(image);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_NE(std::string_view(error.what()).find("pack "), std::string_view::npos) << error.what();
  }
}

TEST_P(Damage, ObjectsExchangedWithinTheirKind) {
  store_image({1});
  store_image({2});
  const std::vector<storage::ObjectInfo> indexes = storage_.list("index");
  const base::Bytes first = storage_.get(indexes.at(0).name, k_any_size);
  storage_.replace(indexes.at(0).name, storage_.get(indexes.at(1).name, k_any_size));
  storage_.replace(indexes.at(1).name, first);
  expect_fault(Fault::corrupt, "index/", [&] { repository_->rebuild_index(); });
}

TEST_P(Damage, PacksExchanged) {
  const ImageRoot one = store_image({1});
  const ImageRoot two = store_image({3});
  const std::vector<storage::ObjectInfo> packs = storage_.list("packs");
  for (std::size_t i = 1; i < packs.size(); ++i) {
    const base::Bytes first = storage_.get(packs[0].name, k_any_size);
    storage_.replace(packs[0].name, storage_.get(packs[i].name, k_any_size));
    storage_.replace(packs[i].name, first);
  }
  expect_fault(Fault::corrupt, "pack ", [&] {
    read_image(one);
    read_image(two);
  });
}

TEST_P(Damage, IndexIsRebuiltFromPacksAlone) {
  const ImageRoot image = store_image({2, 3, 4, 5, 6, 7});
  storage_.remove(only_object("index"));
  std::vector<PackEntry> packs;
  for (const storage::ObjectInfo& object : storage_.list("packs")) {
    packs.push_back(
        read_pack_footer(storage_, repository_->keys(), repository_->config(), pack_id(object.name), object.size));
  }
  const std::string id = base::random_id(16);
  storage_.put(index_object(id), encode_index(repository_->keys(), id, packs));
  repository_->refresh_index();
  EXPECT_EQ(read_image(image), make_image({2, 3, 4, 5, 6, 7}));
}

INSTANTIATE_TEST_SUITE_P(Each, Damage, testing::Bool(),
                         [](const auto& chosen) { return chosen.param ? "Encrypted" : "Plain"; });

// Forged unencrypted objects in an encrypted repository: anybody can compute their checksum.
class Forgery : public RepositoryFixture {};

TEST_F(Forgery, UnencryptedObjectsAreRefused) {
  create();
  const std::string id = base::random_id(16);
  storage_.put(index_object(id), encode_index(KeyRing::unencrypted(), id, {}));
  expect_fault(Fault::corrupt, "flags this repository cannot have", [&] { repository_->rebuild_index(); });
}

TEST_F(Forgery, ConfigOfAnUnencryptedRepositoryIsRefusedWhenAKeyIsGiven) {
  create();
  Config config = repository_->config();
  config.encrypted = false;
  storage_.replace("config", encode_config(config));
  expect_fault(Fault::usage, "not encrypted", [&] { reopen(); });
}

TEST_F(Forgery, SlotOfAnotherRepositoryOpensNothing) {
  create();
  const base::Bytes config = storage_.get("config", k_any_size);
  storage_.clear();
  create();
  storage_.replace("config", config);
  expect_fault(Fault::denied, "no key slot", [&] { reopen(); });
}

TEST_F(Forgery, SlotMayNotAskForTheWholeMemory) {
  create();
  KeySlot slot = make_slot(Secret::random(32), Passphrase{Secret::copy_of(base::as_bytes("x"))}, {}, {1, 8192});
  slot.cost.memory_bytes = 1ULL << 50;
  expect_fault(Fault::corrupt, "impossible", [&] { decode_slot(slot.id, encode_slot(slot)); });
}

}  // namespace
}  // namespace icecore::repository
