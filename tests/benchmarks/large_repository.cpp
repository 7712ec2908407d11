// SPDX-License-Identifier: Apache-2.0
// Makes an encrypted repository of many restore points and blocks without any VM: each point replaces blocks scattered
// over the image of the one before. Blocks are of 4 KiB and compress well: what maintenance costs depends on their
// number. Usage: large_repository FOLDER KEY-FILE POINTS BLOCKS
#include <fmt/core.h>

#include <cstdlib>
#include <cstring>
#include <random>
#include <set>

#include "base/error.hpp"
#include "base/id.hpp"
#include "repository/frame_builder.hpp"
#include "repository/image_tree_writer.hpp"
#include "repository/manifest.hpp"
#include "storage/storage.hpp"

namespace {

namespace base = icecore::base;
namespace repository = icecore::repository;

constexpr std::uint32_t k_block_bytes = 4096;
constexpr std::uint64_t k_image_blocks = 16 * 1024;

class Generator {
 public:
  explicit Generator(repository::Repository& target) : target_(target) {}

  // A point with that many new blocks.
  void add_point(std::uint64_t new_blocks) {
    repository::BlockWriter writer(target_);
    repository::FrameBuilder builder(writer, repository::FrameKind::data);
    repository::ImageTreeWriter tree =
        image_.root.is_zero() ? repository::ImageTreeWriter(writer, k_image_blocks * k_block_bytes)
                              : repository::ImageTreeWriter(writer, k_image_blocks * k_block_bytes, image_);
    std::set<std::uint64_t> places;
    while (places.size() < new_blocks) places.insert(random_() % k_image_blocks);
    for (const std::uint64_t place : places) tree.set(place, store_block(writer, builder));
    if (auto frame = builder.flush()) writer.add(std::move(*frame));
    image_ = tree.finish();
    writer.finish();
    publish();
  }

 private:
  repository::BlockName store_block(repository::BlockWriter& writer, repository::FrameBuilder& builder) {
    const std::uint64_t content = ++serial_;
    std::memcpy(block_.data(), &content, sizeof(content));
    const repository::BlockName name = writer.name_of(block_);
    if (writer.claim(name)) {
      if (auto frame = builder.add(name, block_)) writer.add(std::move(*frame));
    }
    return name;
  }

  void publish() {
    repository::Manifest point;
    point.id = base::random_id(16);
    point.domain_name = "large";
    point.domain_uuid = "11111111-2222-4333-8444-555555555555";
    point.time = time_ += std::chrono::minutes(1);
    point.disks.push_back({.target = "vda",
                           .format = "raw",
                           .virtual_size = k_image_blocks * k_block_bytes,
                           .allocated_bytes = k_image_blocks * k_block_bytes,
                           .image = image_});
    repository::publish(target_, point);
  }

  repository::Repository& target_;
  repository::ImageRoot image_;
  base::Bytes block_ = base::Bytes(k_block_bytes);
  std::uint64_t serial_ = 0;
  base::Timestamp time_ = base::now() - std::chrono::hours(24 * 30);
  std::mt19937_64 random_{1};
};

void generate(const std::string& folder, const std::string& key_file, std::uint64_t points, std::uint64_t blocks) {
  const auto storage = icecore::storage::open_storage(folder, true);
  repository::create_key_file(key_file);
  const repository::KeyFile key{key_file};
  repository::InitOptions options;
  options.block_bytes = k_block_bytes;
  repository::Repository::create(*storage, options, key);
  repository::Repository target(*storage, key, folder + "-cache");
  Generator generator(target);
  for (std::uint64_t i = 0; i < points; ++i) generator.add_point(blocks / points);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) {
    fmt::print(stderr, "usage: large_repository FOLDER KEY-FILE POINTS BLOCKS\n");
    return 2;
  }
  try {
    generate(arguments[1], arguments[2], std::strtoull(arguments[3], nullptr, 10),
             std::strtoull(arguments[4], nullptr, 10));
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
