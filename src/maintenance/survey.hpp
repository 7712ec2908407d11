// SPDX-License-Identifier: Apache-2.0
// A look at a whole repository: its packs, what the index says of them, and which blocks its restore points need.
// Damage is collected and not thrown, so that one look finds all of it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "maintenance/watch.hpp"
#include "repository/live_walk.hpp"
#include "repository/manifest.hpp"

namespace icecore::maintenance {

using PackSizes = std::map<repository::PackId, std::uint64_t>;

// An object that cannot be read, and why.
struct BadObject {
  std::string object;
  std::string reason;
  bool newer = false;  // not damaged, but of a version we do not know
};

// What a person can do about a restore point that is damaged itself. No repair can read it.
std::string way_out_for_unreadable(const std::string& manifest_object);

struct IndexFacts {
  std::string id;
  std::size_t blocks = 0;
  std::size_t packs = 0;
  bool readable = false;
  // Packs it lists that are not there or listed by an earlier index: it would be better without them.
  std::size_t needless_packs = 0;
};

// What one disk of a restore point lost.
struct DiskLoss {
  std::string point_object;
  std::string point_id;
  std::string domain_name;
  base::Timestamp time{};
  std::string disk;  // target, or the kind of a blob
  std::vector<repository::BlockRange> ranges;
};

class Survey {
 public:
  // `repository` outlives it.
  Survey(repository::Repository& repository, const Watch& watch) : repository_(repository), watch_(watch) {}

  // Copies of blocks that are known not to be what their names say: as good as missing.
  repository::BadBlocks bad_blocks;
  // Packs that are as good as missing.
  std::set<repository::PackId> bad_packs;
  // Packs to be believed last: of a block that lies in another one too, that copy counts.
  std::set<repository::PackId> doubtful_packs;
  // Packs no index names, taken for indexed by the next read(): tells what would be whole if they were taken back.
  std::vector<repository::PackEntry> taken_back;
  // Adds to them, and returns how many are new.
  std::size_t take_back(std::vector<repository::PackEntry> packs);
  // Read the last bytes of each pack, too: finds those that are cut off or exchanged, for a small read each.
  bool check_ends = false;

  // Reads packs out of which an image tree's nodes could not be read, and adds what is wrong with them to bad_blocks
  // and bad_packs; read() begins anew then, and takes other copies of what they held. Each pack is given once.
  std::function<void(const std::set<repository::PackId>&)> read_doubted;

  // Lists and reads everything. May be called again: it starts anew, as it does by itself when index objects are
  // replaced meanwhile. Points forgotten meanwhile are left out.
  void read();

  // In this order, which makes what is needed always a part of what is there: each was durable before the next.
  std::vector<std::string> manifests;  // objects, as listed; without those forgotten meanwhile
  std::vector<IndexFacts> indexes;
  PackSizes packs;               // in the storage
  PackSizes packs_before;        // those that were there before the index was listed
  repository::BlockTable table;  // of packs that are there
  std::unique_ptr<repository::LiveWalk> walk;

  std::vector<repository::Manifest> points;  // that could be read; without their XML
  std::vector<BadObject> bad_manifests;
  std::vector<BadObject> bad_indexes;
  std::map<repository::PackId, std::string> missing_packs;  // listed by an index and not there as it says; why
  std::vector<DiskLoss> losses;

 private:
  void read_once();
  bool ask_about_unreadable();
  void clear();
  void list();
  bool read_index();
  void read_index_object(std::uint32_t number);
  bool read_point(const std::string& object);
  void require_config() const;
  std::string what_is_wrong(const repository::PackEntry& pack) const;
  void add_pack(const repository::PackEntry& pack, std::uint32_t number);
  void walk_point(const std::string& object, const repository::Manifest& point);

  repository::Repository& repository_;
  const Watch& watch_;
  std::set<repository::PackId> asked_about_;
};

// The names and sizes of all packs.
PackSizes list_packs(storage::Storage& storage);
PackSizes only(PackSizes packs, const std::set<repository::PackId>& chosen);

}  // namespace icecore::maintenance
