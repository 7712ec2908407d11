// SPDX-License-Identifier: Apache-2.0
// FORMAT.md, "Threats", claim by claim. What altered bytes do is in damage_test.cpp; what a host remembers of a
// server in known_repositories and the command line's tests.
#include <algorithm>

#include "repository/compression.hpp"
#include "repository/envelope.hpp"
#include "repository/index_object.hpp"
#include "repository/key_slots.hpp"
#include "repository/known_repositories.hpp"
#include "unit/repository/fixture.hpp"

namespace icecore::repository {
namespace {

using base::Fault;

constexpr std::uint64_t k_any_size = base::k_mib;

class Threat : public RepositoryFixture {
 protected:
  Manifest publish_point(const ImageRoot& image) {
    Manifest point;
    point.id = base::random_id(16);
    point.domain_name = "payroll-server";
    point.domain_uuid = base::random_uuid();
    point.host = "host-seven";
    point.time = base::parse_time("2026-11-21T09:30:00Z");
    point.live_xml = "<domain>payroll</domain>";
    point.disks.push_back({.target = "vda", .image = image});
    publish(*repository_, point);
    return point;
  }
  std::vector<std::string> names(const std::string& folder) {
    std::vector<std::string> found;
    for (const storage::ObjectInfo& object : storage_.list(folder)) found.push_back(object.name);
    return found;
  }
  void copy_object(const std::string& from, const std::string& to) {
    storage_.replace(to, storage_.get(from, k_any_size));
  }
  bool anywhere(std::string_view text) {
    for (const char* folder : {"packs", "index", "manifests", "keys", "locks"}) {
      for (const std::string& name : names(folder)) {
        if (base::to_string(storage_.get(name, k_any_size)).find(text) != std::string::npos) return true;
      }
    }
    return false;
  }
  // Stores one block of this content, whatever it holds.
  ImageRoot store_block(const base::Bytes& content) {
    BlockWriter writer(*repository_);
    FrameBuilder builder(writer, FrameKind::data);
    ImageTreeWriter tree(writer, content.size());
    const BlockName name = writer.name_of(content);
    tree.set(0, name);
    if (writer.claim(name)) {
      if (auto frame = builder.add(name, content)) writer.add(std::move(*frame));
    }
    if (auto frame = builder.flush()) writer.add(std::move(*frame));
    const ImageRoot root = tree.finish();
    writer.finish();
    return root;
  }
};

// The server

TEST_F(Threat, ServerLearnsNoContentAndNoNames) {
  create();
  base::Bytes block(k_block);
  const std::string content = "PAYROLL OF NOVEMBER";
  std::transform(content.begin(), content.end(), block.begin(), [](char c) { return static_cast<std::byte>(c); });
  publish_point(store_block(block));
  for (const char* text : {"PAYROLL", "payroll-server", "host-seven", "<domain>"}) EXPECT_FALSE(anywhere(text)) << text;
}

TEST_F(Threat, ServerCannotLookForKnownContentByItsHash) {
  create();
  const base::Bytes block = make_block(2);
  const BlockName ours = repository_->keys().name_of(block);
  EXPECT_NE(ours, KeyRing::unencrypted().name_of(block));
  storage_.clear();
  create();
  EXPECT_NE(ours, repository_->keys().name_of(block)) << "nor from another repository of the same key file";
}

TEST_F(Threat, ServerThatSwapsPacksIsFoundOut) {
  create();
  const ImageRoot image = store_image({1, 3});
  const std::vector<std::string> packs = names("packs");
  ASSERT_EQ(packs.size(), 2U);
  const base::Bytes first = storage_.get(packs[0], k_any_size);
  copy_object(packs[1], packs[0]);
  storage_.replace(packs[1], first);
  expect_fault(Fault::corrupt, "pack", [&] { read_image(image); });
}

TEST_F(Threat, ServerThatReplaysAnOldManifestUnderANewNameIsFoundOut) {
  create();
  const Manifest old = publish_point(store_image({1}));
  Manifest newer = old;
  newer.time += std::chrono::days(1);
  copy_object(manifest_object(old), manifest_object(newer));
  expect_fault(Fault::corrupt, manifest_object(newer), [&] { load_manifest(*repository_, manifest_object(newer)); });
}

TEST_F(Threat, ServerCannotPassObjectsOfOneRepositoryOffAsAnothers) {
  create();
  const Manifest point = publish_point(store_image({1}));
  const base::Bytes object = storage_.get(manifest_object(point), k_any_size);
  storage_.clear();
  create();  // with the same key file
  storage_.put(manifest_object(point), object);
  expect_fault(Fault::corrupt, "manifests/", [&] { load_manifest(*repository_, manifest_object(point)); });
}

TEST_F(Threat, ServerThatAltersTheConfigLocksItselfOut) {
  create();
  Config config = repository_->config();
  config.fan_out *= 2;
  storage_.replace("config", encode_config(config));
  expect_fault(Fault::denied, "no key slot", [&] { reopen(); });
}

TEST_F(Threat, ServerThatShowsAnotherRepositoryIsRefusedBeforeAKeyIsTried) {
  create();
  const KnownRepositories known(folder_ / "known");
  known.check("sftp://host/r", repository_->config());
  Config other = repository_->config();
  other.repository_id = base::random_id(16);
  expect_fault(Fault::conflict, "exchanged", [&] { known.check("sftp://host/r", other); });
  other = repository_->config();
  other.encrypted = false;
  expect_fault(Fault::conflict, "not encrypted", [&] { known.check("sftp://host/r", other); });
  known.check("sftp://host/other", other);
  storage_.replace("config", encode_config(other));
  expect_fault(Fault::conflict, "not encrypted", [&] {
    Repository(storage_, {}, folder_ / "cache", [&](const Config& config) { known.check("sftp://host/r", config); });
  });
}

TEST_F(Threat, ServerWithANewerFormatIsNamedAndLeftAlone) {
  create();
  Config config = repository_->config();
  config.format_version = k_format_version + 1;
  storage_.replace("config", encode_config(config));
  expect_fault(Fault::usage, "newer than", [&] { reopen(); });
}

// What nothing here keeps it from, so that nobody relies on it.
TEST_F(Threat, ServerCanDeleteAndCanPutBackAnOldKeySlot) {
  create();
  const Manifest point = publish_point(store_image({1}));
  storage_.remove(manifest_object(point));
  EXPECT_TRUE(list_manifests(*repository_).empty()) << "as if it never was";
  KeySlots slots(storage_, key());
  const KeySlot added = slots.add(Passphrase{Secret::copy_of(base::as_bytes("sesame"))}, "", {1, 8192});
  const std::string name = key_slot_object(added.id);
  const base::Bytes object = storage_.get(name, k_any_size);
  slots.remove(added.id);
  storage_.put(name, object);
  Repository(storage_, Passphrase{Secret::copy_of(base::as_bytes("sesame"))}, folder_ / "other-cache");
}

// Without encryption anybody can write a frame: it may cost no more memory than its table says.
TEST_F(Threat, BombsAreDefused) {
  const base::Bytes zeroes(8 * base::k_mib);
  base::Buffer scratch;
  const base::ByteView bomb = Compressor(3).compress(zeroes, scratch);
  ASSERT_FALSE(bomb.empty());
  base::Bytes small(k_block);
  EXPECT_FALSE(Decompressor().decompress(bomb, small));
  base::Bytes object = seal(KeyRing::unencrypted(), ObjectKind::config, "config", base::Bytes(1000));
  object[12] = std::byte{0xff};  // claims another length than it has
  expect_fault(Fault::corrupt, "config", [&] { open(KeyRing::unencrypted(), ObjectKind::config, "config", object); });
}

// The thief of a disk

TEST_F(Threat, ThiefOfTheCacheHasNoKeys) {
  create();
  store_image({1, 2, 3});
  repository_->refresh_index();
  repository_.reset();
  const base::Bytes config = storage_.get("config", k_any_size);
  const Secret master = open_master(storage_, key(), config).master.clone();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / "cache")) {
    if (!entry.is_regular_file()) continue;
    const std::string text = base::to_string(base::read_file(entry.path(), 4 * base::k_gib));
    EXPECT_EQ(text.find(base::to_string(master.view())), std::string::npos);
    EXPECT_EQ(text.find(base::to_string(read_key_file(key_path()).view())), std::string::npos);
  }
}

// The guest: it chooses what blocks hold.

TEST_F(Threat, GuestThatWritesTreeNodesFramesAndBombsGetsThemBackAsTheyWere) {
  create(false);  // without encryption it could know the right bytes
  store_image({2, 4, 6, 8, 10});
  std::vector<base::Bytes> contents;
  const std::vector<std::string> packs = names("packs");
  for (const std::string& name : packs) contents.push_back(storage_.get(name, k_any_size));
  base::Bytes node(4 * k_name_bytes);  // the leaf of a tree, naming blocks that exist
  for (std::size_t i = 0; i < 4; ++i) {
    const BlockName name = repository_->keys().name_of(make_block(2 * i + 2));
    std::copy(name.bytes.begin(), name.bytes.end(), node.begin() + static_cast<std::ptrdiff_t>(i * k_name_bytes));
  }
  contents.push_back(node);
  base::Buffer scratch;
  const base::Bytes zeroes(8 * base::k_mib);
  const base::ByteView bomb = Compressor(19).compress(zeroes, scratch);
  contents.emplace_back(bomb.begin(), bomb.end());
  for (base::Bytes& content : contents) {
    content.resize(k_block);
    EXPECT_EQ(read_image(store_block(content)), content);
  }
  EXPECT_EQ(read_image(store_image({2, 4, 6, 8, 10})), make_image({2, 4, 6, 8, 10}));
}

TEST_F(Threat, GuestThatWritesAWholeTreeNodeSharesItAndHarmsNobody) {
  create();
  // With a fan-out of 4 a leaf has 128 bytes: the guest's last block, which may be as short.
  const std::vector<std::uint64_t> seeds = {2, 4, 6, 8};
  base::Bytes node;
  for (const std::uint64_t seed : seeds) {
    const BlockName name = repository_->keys().name_of(make_block(seed));
    node.insert(node.end(), name.bytes.begin(), name.bytes.end());
  }
  const ImageRoot guest = store_block(node);
  const ImageRoot image = store_image(seeds);
  EXPECT_EQ(read_image(image), make_image(seeds));
  EXPECT_EQ(read_image(guest), node);
}

}  // namespace
}  // namespace icecore::repository
