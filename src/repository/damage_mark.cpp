// SPDX-License-Identifier: Apache-2.0
#include "repository/damage_mark.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/id.hpp"
#include "base/json.hpp"
#include "repository/envelope.hpp"
#include "storage/get_if_there.hpp"

namespace icecore::repository {

namespace {

constexpr std::string_view k_folder = "damage";
constexpr std::size_t k_mark_id_bytes = 16;

// Of "damage/<point id>-<id>"; the oldest marks are named by the point alone.
std::string point_of(const std::string& object) {
  const std::string name = object.substr(object.rfind('/') + 1);
  return name.substr(0, name.find('-'));
}

DamagedDisk decode_disk(const base::Json& json, std::string_view what) {
  DamagedDisk disk{base::json_field<std::string>(json, "disk", what), {}};
  for (const auto& pair : base::json_field<std::vector<std::vector<std::uint64_t>>>(json, "lost", what)) {
    if (pair.size() != 2) base::fail(base::Fault::corrupt, "{} holds a range of {} numbers", what, pair.size());
    disk.lost.push_back({pair[0], pair[1]});
  }
  return disk;
}

std::set<PackId> decode_packs(const base::Json& json, const std::string& what) {
  std::set<PackId> packs;
  if (!json.contains("packs")) return packs;
  for (const auto& hex : base::json_field<std::vector<std::string>>(json, "packs", what)) {
    const auto pack = parse_pack_object("packs/" + hex.substr(0, 2) + "/" + hex);
    if (!pack) base::fail(base::Fault::corrupt, "{} names '{}', which is no pack", what, hex);
    packs.insert(*pack);
  }
  return packs;
}

DamageMark decode_mark(Repository& repository, const std::string& object, base::ByteView bytes) {
  const std::string what = "damage record '" + object + "'";
  const base::Json json =
      base::parse_json(base::to_string(open(repository.keys(), ObjectKind::damage, object, bytes)), what);
  DamageMark mark{point_of(object), parse_stored_time(base::json_field<std::string>(json, "noted", what), what), {}};
  mark.repaired = !json.contains("repaired") || base::json_field<bool>(json, "repaired", what);
  mark.packs = decode_packs(json, what);
  for (const base::Json& disk : base::json_field<base::Json>(json, "disks", what)) {
    mark.disks.push_back(decode_disk(disk, what));
  }
  return mark;
}

base::Json encode_mark(const DamageMark& mark) {
  base::Json disks = base::Json::array();
  for (const DamagedDisk& disk : mark.disks) {
    base::Json lost = base::Json::array();
    for (const BlockRange& range : disk.lost) lost.push_back({range.first, range.count});
    disks.push_back({{"disk", disk.disk}, {"lost", std::move(lost)}});
  }
  base::Json packs = base::Json::array();
  for (const PackId& pack : mark.packs) packs.push_back(pack.hex());
  return {{"point", mark.point_id},
          {"noted", base::format_time(mark.noted)},
          {"repaired", mark.repaired},
          {"packs", std::move(packs)},
          {"disks", std::move(disks)}};
}

bool contains(const BlockRange& outer, const BlockRange& inner) {
  return inner.first >= outer.first && inner.first - outer.first <= outer.count &&
         inner.count <= outer.count - (inner.first - outer.first);
}

// In order, and joined where they touch.
void tidy(std::vector<BlockRange>& ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const BlockRange& a, const BlockRange& b) {
    return std::pair(a.first, a.count) < std::pair(b.first, b.count);
  });
  std::vector<BlockRange> joined;
  for (const BlockRange& range : ranges) {
    if (joined.empty() || range.first - joined.back().first > joined.back().count) {
      joined.push_back(range);
    } else {
      const std::uint64_t behind = range.first - joined.back().first;
      joined.back().count = std::max(joined.back().count, behind + range.count);
    }
  }
  ranges = std::move(joined);
}

void add(DamageMark& sum, const DamageMark& mark) {
  sum.noted = std::max(sum.noted, mark.noted);
  sum.repaired = sum.repaired && mark.repaired;
  sum.packs.insert(mark.packs.begin(), mark.packs.end());
  for (const DamagedDisk& disk : mark.disks) {
    auto known = std::find_if(sum.disks.begin(), sum.disks.end(),
                              [&](const DamagedDisk& other) { return other.disk == disk.disk; });
    if (known == sum.disks.end()) known = sum.disks.insert(known, {disk.disk, {}});
    known->lost.insert(known->lost.end(), disk.lost.begin(), disk.lost.end());
    tidy(known->lost);
  }
}

}  // namespace

DamageObjects list_damage(Repository& repository) {
  DamageObjects objects;
  for (const storage::ObjectInfo& object : repository.storage().list(std::string(k_folder))) {
    objects[point_of(object.name)].insert(object.name);
  }
  return objects;
}

std::set<std::string> list_damaged_points(Repository& repository) {
  std::set<std::string> points;
  for (const auto& [point, objects] : list_damage(repository)) points.insert(point);
  return points;
}

std::string store_damage(Repository& repository, const DamageMark& mark, const std::set<std::string>& replaced) {
  const std::string object = fmt::format("{}/{}-{}", k_folder, mark.point_id, base::random_id(k_mark_id_bytes));
  repository.storage().put(
      object, seal(repository.keys(), ObjectKind::damage, object, base::as_bytes(encode_mark(mark).dump())));
  for (const std::string& old : replaced) repository.storage().remove(old);
  return object;
}

std::optional<DamageMark> load_mark(Repository& repository, const std::string& object) {
  const auto bytes = storage::get_if_there(repository.storage(), object, size_max(ObjectKind::damage));
  if (!bytes) return std::nullopt;
  try {
    return decode_mark(repository, object, *bytes);
  } catch (base::Error& error) {
    error.add_hint("icecore verify");
    throw;
  }
}

std::optional<DamageMark> load_damage(Repository& repository, const std::string& point_id) {
  std::optional<DamageMark> sum;
  const DamageObjects objects = list_damage(repository);
  const auto found = objects.find(point_id);
  if (found == objects.end()) return sum;
  for (const std::string& object : found->second) {
    const auto mark = load_mark(repository, object);
    if (!mark) continue;
    if (!sum) sum = DamageMark{.point_id = point_id};
    add(*sum, *mark);
  }
  return sum;
}

bool covers(const DamageMark& mark, const std::string& disk, const std::vector<BlockRange>& lost) {
  return std::all_of(lost.begin(), lost.end(), [&](const BlockRange& range) {
    return std::any_of(mark.disks.begin(), mark.disks.end(), [&](const DamagedDisk& noted) {
      return noted.disk == disk && std::any_of(noted.lost.begin(), noted.lost.end(),
                                               [&](const BlockRange& known) { return contains(known, range); });
    });
  });
}

}  // namespace icecore::repository
