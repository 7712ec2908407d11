// SPDX-License-Identifier: Apache-2.0
#include "maintenance/survey.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include "base/id.hpp"
#include "base/shell_word.hpp"
#include "repository/index_object.hpp"
#include "repository/pack_format.hpp"

namespace icecore::maintenance {

using base::Fault;
using repository::PackEntry;

namespace {

// A block takes at least that much of an index object: names do not compress.
constexpr std::uint64_t k_index_bytes_per_block = 33;
// Each prune or repair beside us can replace the index once or twice.
constexpr int k_turns_max = 10;
constexpr std::uint32_t k_no_object = std::numeric_limits<std::uint32_t>::max();

// What is not found is looked for again: a point passed over by mistake would lose its blocks to a prune.
std::optional<repository::Manifest> load_unless_forgotten(repository::Repository& repository,
                                                          const std::string& object) {
  try {
    return repository::load_manifest(repository, object);
  } catch (const base::Error& error) {
    if (error.fault() != Fault::not_found || repository.storage().exists(object)) throw;
    return std::nullopt;
  }
}

bool is_damage(const base::Error& error) { return error.fault() == Fault::corrupt || error.fault() == Fault::usage; }

}  // namespace

std::string way_out_for_unreadable(const std::string& manifest_object) {
  constexpr std::size_t k_id_digits = 32;
  const std::string id = repository::point_of_manifest(manifest_object);  // of what somebody put there it is none
  const std::string name = id.size() == k_id_digits ? base::short_id(id) : manifest_object;
  return fmt::format("bring '{}' back from a copy, or give the point up: icecore forget {} --even-unreadable",
                     manifest_object, base::shell_word(name));
}

PackSizes list_packs(storage::Storage& storage) {
  PackSizes sizes;
  for (const storage::ObjectInfo& object : storage.list("packs")) {
    if (const auto id = repository::parse_pack_object(object.name)) sizes[*id] = object.size;
  }
  return sizes;
}

PackSizes only(PackSizes packs, const std::set<repository::PackId>& chosen) {
  std::erase_if(packs, [&](const auto& pack) { return !chosen.contains(pack.first); });
  return packs;
}

std::size_t Survey::take_back(std::vector<PackEntry> found) {
  const std::size_t before = taken_back.size();
  for (PackEntry& pack : found) {
    const bool known =
        std::any_of(taken_back.begin(), taken_back.end(), [&](const PackEntry& other) { return other.id == pack.id; });
    if (!known) taken_back.push_back(std::move(pack));
  }
  return taken_back.size() - before;
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
  do {
    read_once();
  } while (read_doubted && ask_about_unreadable());
}

// False: nothing new.
bool Survey::ask_about_unreadable() {
  std::set<repository::PackId> unreadable = walk->unreadable_packs();
  std::erase_if(unreadable, [&](const auto& pack) { return !asked_about_.insert(pack).second; });
  if (!unreadable.empty()) read_doubted(unreadable);
  return !unreadable.empty();
}

void Survey::read_once() {
  watch_.on_phase("read the index");
  for (int turn = 1;; ++turn) {
    clear();
    list();
    if (read_index()) break;
    if (turn == k_turns_max)
      base::fail(Fault::unavailable, "index objects that were listed are not there; the index changes again and again");
  }
  watch_.on_phase("read the restore points");
  walk = std::make_unique<repository::LiveWalk>(repository_, table);
  const std::size_t listed = manifests.size();
  std::erase_if(manifests, [&](const std::string& object) {
    watch_.tick();
    return !read_point(object);
  });
  if (manifests.size() != listed) require_config();
}

// What is not there because its disk is not mounted any more was not forgotten.
void Survey::require_config() const {
  const std::string config(repository::k_config_name);
  if (!repository_.storage().exists(config))
    base::fail(Fault::unavailable, "'{}' is gone from '{}', and restore points with it; is its disk mounted?", config,
               repository_.storage().url());
}

void Survey::list() {
  manifests = repository::list_manifest_objects(repository_);
  packs_before = list_packs(repository_.storage());
  std::uint64_t index_bytes = 0;
  for (const storage::ObjectInfo& object : repository_.storage().list("index")) {
    indexes.push_back({object.name.substr(object.name.rfind('/') + 1)});
    index_bytes += object.size;
  }
  packs = list_packs(repository_.storage());
  table.reserve(index_bytes / k_index_bytes_per_block);
}

// False: an object was replaced since it was listed, by one that is not in the list.
bool Survey::read_index() {
  for (std::uint32_t i = 0; i < indexes.size(); ++i) {
    watch_.tick();
    try {
      read_index_object(i);
    } catch (const base::Error& error) {
      if (error.fault() == Fault::not_found) return false;
      if (!is_damage(error)) throw;
      bad_indexes.push_back({repository::index_object(indexes[i].id), error.what(), error.fault() == Fault::usage});
    }
  }
  for (const PackEntry& pack : taken_back) {
    if (!table.has(pack.id) && what_is_wrong(pack).empty()) table.add(pack, k_no_object, bad_blocks);
  }
  table.seal(doubtful_packs);
  return true;
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

// False: it was forgotten meanwhile.
bool Survey::read_point(const std::string& object) {
  try {
    std::optional<repository::Manifest> point = load_unless_forgotten(repository_, object);
    if (!point) return false;
    walk_point(object, *point);
    point->live_xml.clear();
    point->inactive_xml.clear();
    points.push_back(std::move(*point));
  } catch (const base::Error& error) {
    if (!is_damage(error)) throw;
    bad_manifests.push_back({object, error.what(), error.fault() == Fault::usage});
  }
  return true;
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
