// SPDX-License-Identifier: Apache-2.0
// A repository with restore points of known content, stored without a virtual machine.
#pragma once

#include <fstream>
#include <iterator>
#include <map>

#include "repository/block_writer.hpp"
#include "repository/frame_builder.hpp"
#include "repository/image_tree_writer.hpp"
#include "system/cli/repository_case.hpp"

namespace icecore::system_test {

class StockedCase : public RepositoryCase {
 protected:
  using Seeds = std::vector<std::uint64_t>;
  static constexpr std::size_t k_block = 64 * 1024;

  // A point of `domain` with one raw disk, whose blocks are made of these seeds; its id.
  std::string store(const std::string& domain, const Seeds& seeds) {
    const auto storage = storage::open_storage(folder_ / "repository");
    repository::Repository repository(*storage, repository::KeyFile{key_file()}, folder_ / "other-cache");
    repository::Manifest point;
    point.id = base::random_id(16);
    point.domain_name = domain;
    point.domain_uuid = uuids_.try_emplace(domain, base::random_uuid()).first->second;
    point.time = base::parse_time("2026-01-01") + std::chrono::days(images_.size());
    const std::uint64_t size = seeds.size() * k_block;
    point.disks.push_back({.target = "vda",
                           .bus = "virtio",
                           .source_path = "/nowhere/vda.raw",
                           .format = "raw",
                           .virtual_size = size,
                           .allocated_bytes = size,
                           .image = store_image(repository, seeds)});
    repository::publish(repository, point);
    base::Bytes image;
    for (const std::uint64_t seed : seeds) {
      const base::Bytes block = make_block(seed);
      image.insert(image.end(), block.begin(), block.end());
    }
    images_[point.id] = std::move(image);
    return point.id;
  }
  static Seeds range(std::uint64_t from, std::uint64_t to) {
    Seeds seeds;
    for (std::uint64_t seed = from; seed < to; ++seed) seeds.push_back(seed);
    return seeds;
  }

  // What `restore --disks-only` makes of the point.
  base::Bytes restored(const std::string& point, const rig::Environment& environment, bool allow_damaged = false) {
    const std::filesystem::path to = folder_ / ("restored-" + base::random_id(4));
    std::vector<std::string> arguments = {"restore", point, "--disks-only", "--to", to};
    if (allow_damaged) arguments.emplace_back("--allow-damaged");
    must(arguments, environment);
    return base::read_file(to / "vda.raw", 64 * base::k_mib);
  }

  std::filesystem::path largest_pack() const {
    std::filesystem::path largest;
    for (const auto& file : std::filesystem::recursive_directory_iterator(folder_ / "repository/packs")) {
      if (!file.is_regular_file()) continue;
      if (largest.empty() || file.file_size() > std::filesystem::file_size(largest)) largest = file.path();
    }
    return largest;
  }
  static void change_byte(const std::filesystem::path& path, std::streamoff at) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(at);
    const auto byte = static_cast<char>(file.get() ^ 1);
    file.seekp(at);
    file.put(byte);
  }

  std::map<std::string, base::Bytes> images_;  // by point

 private:
  static base::Bytes make_block(std::uint64_t seed) {
    base::Bytes bytes(k_block);
    std::uint64_t state = seed * 0x9e3779b97f4a7c15ULL;
    for (std::byte& byte : bytes) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      byte = static_cast<std::byte>(state >> 56);
    }
    return bytes;
  }
  static repository::ImageRoot store_image(repository::Repository& repository, const Seeds& seeds) {
    repository::BlockWriter writer(repository);
    repository::FrameBuilder builder(writer, repository::FrameKind::data);
    repository::ImageTreeWriter tree(writer, seeds.size() * k_block);
    for (std::size_t i = 0; i < seeds.size(); ++i) {
      const base::Bytes block = make_block(seeds[i]);
      const repository::BlockName name = writer.name_of(block);
      tree.set(i, name);
      if (!writer.claim(name)) continue;
      if (auto frame = builder.add(name, block)) writer.add(std::move(*frame));
    }
    if (auto frame = builder.flush()) writer.add(std::move(*frame));
    const repository::ImageRoot root = tree.finish();
    writer.finish();
    return root;
  }

  std::map<std::string, std::string> uuids_;
};

}  // namespace icecore::system_test
