// SPDX-License-Identifier: Apache-2.0
// A repository in memory with small sizes, its key file, and ways to fill it. Gone with the test.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "base/durable_file.hpp"
#include "base/id.hpp"
#include "contract/storage/memory_storage.hpp"
#include "repository/block_reader.hpp"
#include "repository/block_writer.hpp"
#include "repository/frame_builder.hpp"
#include "repository/image_tree_reader.hpp"
#include "repository/image_tree_writer.hpp"
#include "repository/manifest.hpp"

namespace icecore::repository {

class RepositoryFixture : public testing::Test {
 protected:
  static constexpr std::uint32_t k_block = 4096;

  void SetUp() override {
    base::create_folders(folder_);
    create_key_file(key_path());
  }
  void TearDown() override {
    repository_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::filesystem::path key_path() const { return folder_ / "key"; }
  Credential key() const { return KeyFile{key_path()}; }

  static InitOptions small_options(bool encrypt = true) {
    return {.encrypt = encrypt,
            .block_bytes = k_block,
            .frame_bytes = 4 * k_block,
            .pack_bytes = 64 * 1024,
            .fan_out = 4,
            .passphrase_cost = {1, 8192}};
  }
  void create(bool encrypt = true) {
    Repository::create(storage_, small_options(encrypt), encrypt ? key() : Credential{});
    reopen(encrypt);
  }
  void reopen(bool encrypt = true) {
    repository_.reset();
    repository_ = std::make_unique<Repository>(storage_, encrypt ? key() : Credential{}, folder_ / "cache");
  }

  // Deterministic content; even seeds compress, odd ones do not; seed 0 is zero.
  static base::Bytes make_block(std::uint64_t seed, std::size_t size = k_block) {
    base::Bytes bytes(size);
    std::uint64_t state = seed * 0x9e3779b97f4a7c15ULL;
    for (std::size_t i = 0; seed != 0 && i < size; ++i) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      bytes[i] = static_cast<std::byte>(seed % 2 == 0 ? (state >> 33) & 3 : state >> 56);
    }
    return bytes;
  }

  // Stores an image whose block i is make_block(seeds[i]).
  ImageRoot store_image(BlockWriter& writer, const std::vector<std::uint64_t>& seeds) {
    FrameBuilder builder(writer, FrameKind::data);
    ImageTreeWriter tree(writer, seeds.size() * k_block);
    for (std::size_t i = 0; i < seeds.size(); ++i) {
      const base::Bytes block = make_block(seeds[i]);
      const BlockName name = writer.name_of(block);
      tree.set(i, name);
      if (!writer.claim(name)) continue;
      if (auto frame = builder.add(name, block)) writer.add(std::move(*frame));
    }
    if (auto frame = builder.flush()) writer.add(std::move(*frame));
    return tree.finish();
  }
  ImageRoot store_image(const std::vector<std::uint64_t>& seeds) {
    BlockWriter writer(*repository_);
    const ImageRoot root = store_image(writer, seeds);
    stats_ = writer.finish();
    return root;
  }

  // What it reads as.
  base::Bytes read_image(const ImageRoot& image) { return read_image(*repository_, image); }
  static base::Bytes read_image(Repository& repository, const ImageRoot& image) {
    base::Bytes disk(image.disk_size);
    BlockReader reader(repository);
    ImageTreeReader tree(reader, repository.config(), image);
    tree.for_each_leaf([&](std::uint64_t first, std::span<const BlockName> names) {
      for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i].is_zero()) continue;
        const base::Bytes block = reader.read_block(names[i]);
        std::copy(block.begin(), block.end(), disk.begin() + static_cast<std::ptrdiff_t>((first + i) * k_block));
      }
    });
    return disk;
  }
  static base::Bytes make_image(const std::vector<std::uint64_t>& seeds) {
    base::Bytes disk;
    for (const std::uint64_t seed : seeds) {
      const base::Bytes block = make_block(seed);
      disk.insert(disk.end(), block.begin(), block.end());
    }
    return disk;
  }

  std::filesystem::path folder_ = std::filesystem::temp_directory_path() / ("icecore-test-" + base::random_id(6));
  icecore::contract::MemoryStorage storage_;
  std::unique_ptr<Repository> repository_;
  WriteStats stats_;
};

// EXPECT that statement throws an Error of that fault whose text contains `part`.
template <typename Action>
void expect_fault(base::Fault fault, std::string_view part, Action&& action) {
  try {
    action();
    ADD_FAILURE() << "nothing was thrown where '" << part << "' was expected";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), fault) << error.what();
    EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos) << error.what();
  }
}

}  // namespace icecore::repository
