// SPDX-License-Identifier: Apache-2.0
// A repository on a remote with moods, with its spool; opened and closed as processes would.
#pragma once

#include "contract/storage/moody_storage.hpp"
#include "staging/uploader.hpp"
#include "unit/repository/fixture.hpp"

namespace icecore::staging {

constexpr const char* k_uuid = "11111111-2222-3333-4444-555555555555";

class SpoolFixture : public repository::RepositoryFixture {
 protected:
  // One process: a spooled storage and the repository over it.
  struct Process {
    std::unique_ptr<SpooledStorage> storage;
    std::unique_ptr<repository::Repository> repository;
  };

  void SetUp() override {
    RepositoryFixture::SetUp();
    repository::Repository::create(remote_.objects, small_options(), key());
  }

  std::filesystem::path staging() const { return folder_ / "staging"; }
  std::unique_ptr<SpooledStorage> open_storage(std::uint64_t bytes_max = 0, bool side_by_side = false) {
    return std::make_unique<SpooledStorage>(
        "memory", [this] { return std::make_unique<contract::MoodyStorage>(remote_); }, staging(), bytes_max,
        side_by_side);
  }
  Process open(std::uint64_t bytes_max = 0) {
    Process process{open_storage(bytes_max), nullptr};
    process.repository = std::make_unique<repository::Repository>(*process.storage, key(), folder_ / "cache");
    return process;
  }
  // With no staging between.
  std::unique_ptr<repository::Repository> open_remote() {
    return std::make_unique<repository::Repository>(remote_.objects, key(), folder_ / "other-cache");
  }

  // A backup of one disk with these blocks; returns the manifest's object. Later ones have later times.
  std::string back_up(
      Process& process, const std::vector<std::uint64_t>& seeds,
      const std::function<void()>& before_publishing = [] {}) {
    repository::BlockWriter writer(*process.repository);
    repository::Manifest point;
    point.id = base::random_id(16);
    point.domain_uuid = k_uuid;
    point.domain_name = "web1";
    point.time = base::Timestamp(base::Milliseconds(1'700'000'000'000 + 1000 * ++points_));
    point.disks.resize(1);
    point.disks[0].target = "vda";
    point.disks[0].format = "raw";
    point.disks[0].image = store_image(writer, seeds);
    point.disks[0].virtual_size = seeds.size() * k_block;
    writer.finish();
    before_publishing();
    return repository::publish(*process.repository, point);
  }
  base::Bytes read_point(repository::Repository& repository, const std::string& manifest) {
    repository.refresh_index();
    const repository::ImageRoot image = repository::load_manifest(repository, manifest).disks[0].image;
    base::Bytes disk(image.disk_size);
    repository::BlockReader reader(repository);
    repository::ImageTreeReader tree(reader, repository.config(), image);
    tree.for_each_leaf([&](std::uint64_t first, std::span<const repository::BlockName> names) {
      for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i].is_zero()) continue;
        const base::Bytes block = reader.read_block(names[i]);
        std::copy(block.begin(), block.end(), disk.begin() + static_cast<std::ptrdiff_t>((first + i) * k_block));
      }
    });
    return disk;
  }

  static UploadOptions fast() {
    return {.backoff_first = base::Milliseconds(5),
            .backoff_max = base::Milliseconds(20),
            .refusal_wait = base::Milliseconds(10)};
  }
  UploadReport upload(Process& process, UploadOptions options = fast()) {
    return Uploader(*process.storage, *process.repository, options, {}, {}).finish();
  }
  // Waits for what another thread is about to bring about.
  template <typename Condition>
  static bool comes_true(Condition&& condition) {
    const base::Stopwatch watch;
    while (!condition() && watch.elapsed() < std::chrono::seconds(20)) std::this_thread::yield();
    return condition();
  }
  static std::vector<std::uint64_t> seeds(std::uint64_t from, std::uint64_t count) {
    std::vector<std::uint64_t> out;
    for (std::uint64_t i = 0; i < count; ++i) out.push_back(2 * (from + i) + 1);  // odd: does not compress
    return out;
  }
  std::vector<std::string> names_of(const std::string& folder) {
    std::vector<std::string> names;
    for (const auto& object : remote_.objects.list(folder)) names.push_back(object.name);
    return names;
  }
  std::size_t files_in_spool(SpooledStorage& storage) {
    std::size_t count = 0;
    for (const char* folder : {"packs", "index", "manifests"}) count += storage.spool().objects().list(folder).size();
    return count;
  }

  contract::RemoteEnd remote_;
  int points_ = 0;
};

}  // namespace icecore::staging
