// SPDX-License-Identifier: Apache-2.0
// A repository in memory with restore points whose content is known.
#pragma once

#include "maintenance/prune.hpp"
#include "repository/repository_lock.hpp"
#include "unit/maintenance/dying_storage.hpp"
#include "unit/repository/fixture.hpp"

namespace icecore::maintenance {

using base::Fault;
using repository::expect_fault;
using repository::Manifest;
using repository::Repository;

class MaintenanceFixture : public repository::RepositoryFixture {
 protected:
  using Seeds = std::vector<std::uint64_t>;

  struct Point {
    Manifest manifest;
    Seeds seeds;
  };

  void SetUp() override {
    RepositoryFixture::SetUp();
    create();
  }

  static std::string uuid_of(const std::string& domain) {
    std::string digits = base::to_hex(base::as_bytes(domain)) + std::string(12, '0');
    return "0f5b8a7e-6a9b-4b57-9d0a-" + digits.substr(0, 12);
  }

  // What a backup writes, but for the manifest.
  Manifest store(Repository& repository, const std::string& domain, const Seeds& seeds) {
    repository::BlockWriter writer(repository);
    Manifest manifest;
    manifest.id = base::random_id(16);
    manifest.domain_name = domain;
    manifest.domain_uuid = uuid_of(domain);
    manifest.time = last_time_ = std::max(base::now(), last_time_ + base::Milliseconds(1));
    const std::uint64_t size = seeds.size() * k_block;
    manifest.disks.push_back(
        {.target = "vda", .virtual_size = size, .allocated_bytes = size, .image = store_image(writer, seeds)});
    stats_ = writer.finish();
    return manifest;
  }
  const Point& backup(const std::string& domain, const Seeds& seeds) {
    Manifest manifest = store(*repository_, domain, seeds);
    repository::publish(*repository_, manifest);
    points_.push_back({std::move(manifest), seeds});
    return points_.back();
  }
  void forget(std::size_t index) {
    storage_.remove(repository::manifest_object(points_.at(index).manifest));
    points_.erase(points_.begin() + static_cast<std::ptrdiff_t>(index));
  }

  // Every restore point reads as it was written, by somebody who knows nothing but the repository.
  void expect_all_readable() {
    Repository fresh(storage_, key(), folder_ / ("cache-" + base::random_id(4)));
    fresh.refresh_index();
    for (const Point& point : points_) {
      ASSERT_EQ(read_image(fresh, point.manifest.disks[0].image), make_image(point.seeds)) << point.manifest.id;
    }
  }

  PruneReport prune(std::chrono::seconds grace = std::chrono::seconds(0), bool dry_run = false) {
    return maintenance::prune(*repository_, {.grace = grace, .dry_run = dry_run}, {});
  }

  std::size_t count(const std::string& folder) { return storage_.list(folder).size(); }

  // A prune without grace that dies at its n-th write; false when it needs fewer.
  bool prune_and_die(int writes) {
    DyingStorage dying(storage_, writes);
    try {
      Repository victim(dying, key(), folder_ / "victim-cache");
      maintenance::prune(victim, {.grace = std::chrono::seconds(0)}, {});
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), Fault::unavailable) << error.what();
    }
    remove_locks();  // of a process that is gone
    return dying.died();
  }

  using Objects = std::map<std::string, base::Bytes>;
  Objects snapshot() {
    Objects objects;
    for (const char* folder : {"keys", "packs", "index", "manifests", "prunes", "damage"}) {
      for (const storage::ObjectInfo& object : storage_.list(folder)) {
        objects[object.name] = storage_.get(object.name, 256 * base::k_mib);
      }
    }
    objects["config"] = storage_.get("config", base::k_mib);
    return objects;
  }
  void restore(const Objects& objects) {
    storage_.clear();
    for (const auto& [name, bytes] : objects) storage_.replace(name, bytes);
  }

  void remove_locks() {
    for (const storage::ObjectInfo& lock : storage_.list("locks")) storage_.remove(lock.name);
  }

  // Blocks that follow each other, no two alike.
  static Seeds range(std::uint64_t from, std::uint64_t to) {
    Seeds seeds;
    for (std::uint64_t seed = from; seed < to; ++seed) seeds.push_back(seed);
    return seeds;
  }

  std::vector<Point> points_;
  base::Timestamp last_time_{};  // no two points of one millisecond: they would have no order
};

}  // namespace icecore::maintenance
