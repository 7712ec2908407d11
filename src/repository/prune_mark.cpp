// SPDX-License-Identifier: Apache-2.0
#include "repository/prune_mark.hpp"

#include <map>
#include <utility>

#include "base/error.hpp"
#include "base/id.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "repository/envelope.hpp"
#include "repository/index_object.hpp"
#include "storage/get_if_there.hpp"

namespace icecore::repository {

using base::Fault;

namespace {

base::Bytes encode(const KeyRing& keys, const PruneMark& mark) {
  base::Json packs = base::Json::array();
  for (const PackId& pack : mark.packs) packs.push_back(pack.hex());
  const base::Json json = {{"created", base::format_time(mark.created)}, {"packs", std::move(packs)}};
  return seal(keys, ObjectKind::prune_mark, prune_mark_object(mark.id), base::as_bytes(json.dump()));
}

PruneMark decode(const KeyRing& keys, const std::string& id, base::ByteView object) {
  const std::string what = "prune mark '" + prune_mark_object(id) + "'";
  const base::Json json =
      base::parse_json(base::to_string(open(keys, ObjectKind::prune_mark, prune_mark_object(id), object)), what);
  PruneMark mark{id, parse_stored_time(base::json_field<std::string>(json, "created", what), what), {}};
  for (const std::string& hex : base::json_field<std::vector<std::string>>(json, "packs", what)) {
    const std::optional<PackId> pack = parse_pack_object("packs/" + hex.substr(0, 2) + "/" + hex);
    if (!pack) base::fail(Fault::corrupt, "{} names the pack '{}'", what, hex);
    mark.packs.push_back(*pack);
  }
  return mark;
}

std::size_t take_wanted(const PackEntry& pack, std::set<BlockName>& wanted) {
  std::size_t found = 0;
  for (const FrameEntry& frame : pack.frames) {
    for (const FrameBlock& block : frame.blocks) found += wanted.erase(block.name);
  }
  return found;
}

std::map<PackId, std::uint64_t> pack_sizes(storage::Storage& storage) {
  std::map<PackId, std::uint64_t> sizes;
  for (const storage::ObjectInfo& object : storage.list("packs")) {
    if (const auto id = parse_pack_object(object.name)) sizes[*id] = object.size;
  }
  return sizes;
}

class MarkedPacks {
 public:
  explicit MarkedPacks(Repository& repository) : repository_(repository) {}

  // What it holds; nothing when it is gone or damaged.
  std::optional<PackEntry> read(const PackId& id) {
    if (!sizes_) sizes_ = pack_sizes(repository_.storage());
    const auto size = sizes_->find(id);
    if (size == sizes_->end()) return std::nullopt;
    try {
      return read_pack_footer(repository_.storage(), repository_.keys(), repository_.config(), id, size->second);
    } catch (const base::Error& error) {
      if (error.fault() != Fault::corrupt) throw;
      base::log_warning("{}", error.what());
      return std::nullopt;
    }
  }

 private:
  Repository& repository_;
  std::optional<std::map<PackId, std::uint64_t>> sizes_;
};

[[noreturn]] void fail_damaged(const DamagedPruneMark& mark) {
  throw base::Error(Fault::corrupt, mark.reason).add_hint("icecore repair");
}

void write_index(Repository& repository, const std::vector<PackEntry>& packs) {
  const std::string id = base::random_id(16);
  repository.storage().put(index_object(id), encode_index(repository.keys(), id, packs));
}

}  // namespace

std::string prune_mark_object(const std::string& id) { return "prunes/" + id; }

void store_prune_mark(Repository& repository, const PruneMark& mark) {
  repository.storage().put(prune_mark_object(mark.id), encode(repository.keys(), mark));
}

std::vector<PruneMark> load_prune_marks(Repository& repository, std::vector<DamagedPruneMark>* damaged) {
  std::vector<PruneMark> marks;
  std::vector<DamagedPruneMark> found_damaged;
  for (const storage::ObjectInfo& object : repository.storage().list("prunes")) {
    try {
      const auto bytes = storage::get_if_there(repository.storage(), object.name, size_max(ObjectKind::prune_mark));
      if (!bytes) continue;  // a prune beside us replaced it
      marks.push_back(decode(repository.keys(), object.name.substr(object.name.rfind('/') + 1), *bytes));
    } catch (const base::Error& error) {
      if (error.fault() != Fault::corrupt) throw;
      found_damaged.push_back({object.name, error.what()});
    }
  }
  if (damaged == nullptr && !found_damaged.empty()) fail_damaged(found_damaged.front());
  if (damaged != nullptr) *damaged = std::move(found_damaged);
  return marks;
}

std::vector<PackEntry> find_in_marked_packs(Repository& repository, std::set<BlockName>& wanted) {
  std::vector<PackEntry> found;
  std::vector<DamagedPruneMark> damaged;
  const std::vector<PruneMark> marks = load_prune_marks(repository, &damaged);
  MarkedPacks packs(repository);
  for (const PruneMark& mark : marks) {
    for (const PackId& id : mark.packs) {
      if (wanted.empty()) break;
      std::optional<PackEntry> pack = packs.read(id);
      if (pack && take_wanted(*pack, wanted) > 0) found.push_back(std::move(*pack));
    }
  }
  // It might have named what is still wanted.
  if (!wanted.empty() && !damaged.empty()) fail_damaged(damaged.front());
  return found;
}

void load_marked_packs(Repository& repository, IndexCache& cache) {
  std::vector<DamagedPruneMark> damaged;
  const std::vector<PruneMark> marks = load_prune_marks(repository, &damaged);
  const std::optional<base::Fd> turn = cache.take_turn();
  std::set<std::string> gone = cache.begun();
  for (const PruneMark& mark : marks) gone.erase(mark.id);
  if (!gone.empty()) cache.clear();
  const std::set<std::string> loaded = cache.loaded();
  MarkedPacks packs(repository);
  for (const PruneMark& mark : marks) {
    if (loaded.contains(mark.id)) continue;
    std::vector<PackEntry> entries;
    for (const PackId& id : mark.packs) {
      if (std::optional<PackEntry> pack = packs.read(id)) entries.push_back(std::move(*pack));
    }
    cache.add(mark.id, entries);
  }
}

std::size_t rescue_marked_packs(Repository& repository, std::set<BlockName>& wanted) {
  std::vector<PackEntry> rescued = find_in_marked_packs(repository, wanted);
  const std::size_t count = rescued.size();
  if (count > 0) base::log_info("{} packs marked for deletion are needed after all", count);
  std::vector<PackEntry> part;
  std::size_t blocks = 0;
  for (PackEntry& pack : rescued) {
    blocks += pack.block_count();
    part.push_back(std::move(pack));
    if (blocks < k_blocks_per_index) continue;
    write_index(repository, std::exchange(part, {}));
    blocks = 0;
  }
  if (!part.empty()) write_index(repository, part);
  return count;
}

}  // namespace icecore::repository
