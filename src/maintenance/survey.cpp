// SPDX-License-Identifier: Apache-2.0
#include "maintenance/survey.hpp"

#include "repository/index_object.hpp"
#include "repository/pack_format.hpp"

namespace icecore::maintenance {

using base::Fault;
using repository::PackEntry;

namespace {

// A block takes at least that much of an index object: names do not compress.
constexpr std::uint64_t k_index_bytes_per_block = 33;

bool is_damage(const base::Error& error) { return error.fault() == Fault::corrupt || error.fault() == Fault::usage; }

}  // namespace

PackSizes list_packs(storage::Storage& storage) {
  PackSizes sizes;
  for (const storage::ObjectInfo& object : storage.list("packs")) {
    if (const auto id = repository::parse_pack_object(object.name)) sizes[*id] = object.size;
  }
  return sizes;
}

void Survey::clear() {
  walk.reset();
  table = {};
  manifests.clear();
  indexes.clear();
  points.clear();
  bad_manifests.clear();
  bad_indexes.clear();
  missing_packs.clear();
  losses.clear();
}

void Survey::read() {
  clear();
  watch_.on_phase("read the index");
  manifests = repository::list_manifest_objects(repository_);
  packs_before = list_packs(repository_.storage());
  std::uint64_t index_bytes = 0;
  for (const storage::ObjectInfo& object : repository_.storage().list("index")) {
    indexes.push_back({object.name.substr(object.name.rfind('/') + 1)});
    index_bytes += object.size;
  }
  packs = list_packs(repository_.storage());
  table.reserve(index_bytes / k_index_bytes_per_block);
  read_index();
  watch_.on_phase("read the restore points");
  walk = std::make_unique<repository::LiveWalk>(repository_, table);
  read_points();
}

void Survey::read_index() {
  for (std::uint32_t i = 0; i < indexes.size(); ++i) {
    watch_.tick();
    try {
      read_index_object(i);
    } catch (const base::Error& error) {
      if (!is_damage(error)) throw;
      bad_indexes.push_back({repository::index_object(indexes[i].id), error.what()});
    }
  }
  table.seal();
}

void Survey::read_index_object(std::uint32_t number) {
  IndexFacts& index = indexes[number];
  const std::vector<PackEntry> listed =
      repository::load_index(repository_.storage(), repository_.keys(), repository_.config(), index.id);
  index.readable = true;
  for (const PackEntry& pack : listed) {
    index.blocks += pack.block_count();
    ++index.packs;
    add_pack(pack, number);
  }
}

void Survey::add_pack(const PackEntry& pack, std::uint32_t number) {
  if (table.has(pack.id)) {
    ++indexes[number].needless_packs;
    return;
  }
  const std::string wrong = what_is_wrong(pack);
  if (wrong.empty()) return table.add(pack, number, bad_blocks);
  ++indexes[number].needless_packs;
  missing_packs[pack.id] = wrong;
}

// Empty: nothing.
std::string Survey::what_is_wrong(const PackEntry& pack) const {
  const auto size = packs.find(pack.id);
  if (size == packs.end()) return "it is missing";
  if (bad_packs.contains(pack.id)) return "it is damaged";
  if (size->second < pack.frames_end() + repository::k_pack_trailer_bytes)
    return fmt::format("it is cut off after {} bytes", size->second);
  if (check_ends && !repository::ends_behind_frames(repository_.storage(), pack, size->second))
    return "it does not end as the index says: it is cut off, exchanged or damaged";
  return {};
}

void Survey::read_points() {
  for (const std::string& object : manifests) {
    watch_.tick();
    try {
      repository::Manifest point = repository::load_manifest(repository_, object);
      walk_point(object, point);
      point.live_xml.clear();
      point.inactive_xml.clear();
      points.push_back(std::move(point));
    } catch (const base::Error& error) {
      if (!is_damage(error)) throw;
      bad_manifests.push_back({object, error.what()});
    }
  }
}

void Survey::walk_point(const std::string& object, const repository::Manifest& point) {
  const auto walk_image = [&](const std::string& disk, const repository::ImageRoot& image) {
    std::vector<repository::BlockRange> ranges = walk->walk(image);
    if (!ranges.empty()) {
      losses.push_back({object, point.id, point.domain_name, point.time, disk, std::move(ranges)});
    }
  };
  for (const repository::ManifestDisk& disk : point.disks) walk_image(disk.target, disk.image);
  for (const repository::ManifestBlob& blob : point.blobs) walk_image(blob.kind, blob.image);
}

}  // namespace icecore::maintenance
