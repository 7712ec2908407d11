// SPDX-License-Identifier: Apache-2.0
#include "repository/index_cache.hpp"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <map>
#include <thread>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/guarded.hpp"
#include "base/id.hpp"
#include "base/log.hpp"

namespace icecore::repository {

using base::Fault;

namespace {

// Part of the folder's name: another layout simply starts its own cache.
constexpr std::string_view k_layout = "index-2";
// Address space, not disk: the file grows as it fills. About 2.5 thousand million blocks.
constexpr std::size_t k_map_bytes = 256 * base::k_gib;
constexpr unsigned k_readers_max = 510;
// LMDB keeps every page a transaction touches in memory; random names touch one page each. So at most this
// many names a transaction: 32 MiB.
constexpr std::size_t k_names_per_transaction = 8 * 1024;
constexpr std::string_view k_generation = "generation";
constexpr std::string_view k_begun = "begun";
constexpr std::size_t k_location_bytes = 4 + 8 + 4 + 4 + 1 + 4 + 4;

void check(int result, std::string_view what) {
  if (result == MDB_SUCCESS) return;
  const Fault fault = result == ENOSPC ? Fault::no_space : result == EACCES ? Fault::denied : Fault::unavailable;
  throw base::Error(fault, fmt::format("local index cache: {}: {}", what, mdb_strerror(result)))
      .add_hint("the cache may be deleted at any time; it is rebuilt from the repository");
}

MDB_val to_val(base::ByteView bytes) {
  // LMDB takes mutable pointers but writes through none of them.
  return {bytes.size(), const_cast<std::byte*>(bytes.data())};
}
base::ByteView to_view(const MDB_val& value) { return {static_cast<const std::byte*>(value.mv_data), value.mv_size}; }

class Transaction {
 public:
  Transaction(MDB_env* environment, unsigned flags) {
    MDB_txn* transaction = nullptr;
    check(mdb_txn_begin(environment, nullptr, flags, &transaction), "begin");
    transaction_.reset(transaction);
  }
  void commit() { check(mdb_txn_commit(transaction_.release()), "commit"); }
  MDB_txn* get() const noexcept { return transaction_.get(); }

  unsigned table(const char* name) {
    unsigned handle = 0;
    check(mdb_dbi_open(get(), name, MDB_CREATE, &handle), "open a table");
    return handle;
  }
  std::optional<base::ByteView> find(unsigned table, base::ByteView key) const {
    MDB_val key_val = to_val(key);
    MDB_val value{};
    const int result = mdb_get(get(), table, &key_val, &value);
    if (result == MDB_NOTFOUND) return std::nullopt;
    check(result, "look up");
    return to_view(value);
  }
  void put(unsigned table, base::ByteView key, base::ByteView value) {
    MDB_val key_val = to_val(key);
    MDB_val value_val = to_val(value);
    check(mdb_put(get(), table, &key_val, &value_val, 0), "write");
  }

 private:
  struct Abort {
    void operator()(MDB_txn* transaction) const noexcept { mdb_txn_abort(transaction); }
  };
  std::unique_ptr<MDB_txn, Abort> transaction_;
};

base::Bytes number_key(std::uint32_t number) {
  base::ByteWriter writer;
  writer.u32(number);
  return writer.take();
}

base::Bytes encode_location(std::uint32_t pack, const FrameEntry& frame, std::uint32_t offset, std::uint32_t length) {
  base::ByteWriter writer;
  writer.u32(pack);
  writer.u64(frame.offset);
  writer.u32(frame.stored_length);
  writer.u32(frame.raw_length);
  writer.u8(static_cast<std::uint8_t>(frame.compression));
  writer.u32(offset);
  writer.u32(length);
  return writer.take();
}

// The pack's number, given now if it has none.
std::uint32_t number_of(Transaction& transaction, unsigned packs, unsigned pack_numbers, const PackEntry& pack) {
  if (const auto known = transaction.find(pack_numbers, pack.id.bytes))
    return base::ByteReader(*known, "index cache").u32();
  MDB_stat stat{};
  check(mdb_stat(transaction.get(), packs, &stat), "count");
  const auto number = static_cast<std::uint32_t>(stat.ms_entries);
  base::Bytes value(pack.id.bytes.begin(), pack.id.bytes.end());
  value.push_back(static_cast<std::byte>(pack.kind));
  transaction.put(packs, number_key(number), value);
  transaction.put(pack_numbers, pack.id.bytes, number_key(number));
  return number;
}

void add_frame(Transaction& transaction, unsigned blocks, std::uint32_t pack, const FrameEntry& frame) {
  std::uint32_t offset = 0;
  for (const FrameBlock& block : frame.blocks) {
    transaction.put(blocks, block.name.bytes, encode_location(pack, frame, offset, block.length));
    offset += block.length;
  }
}

std::string generation_in(const Transaction& transaction, unsigned facts) {
  const std::optional<base::ByteView> value = transaction.find(facts, base::as_bytes(k_generation));
  return value ? base::to_string(*value) : std::string();
}

std::filesystem::path mark_beside(const std::filesystem::path& folder) {
  base::create_folders(folder.parent_path());
  return folder.string() + ".use";
}

// A file shorter than its own header says would be read beyond its end, which is a signal and no error.
bool cut_off(MDB_env* environment, const std::filesystem::path& file) {
  MDB_envinfo info{};
  MDB_stat stat{};
  if (mdb_env_info(environment, &info) != 0 || mdb_env_stat(environment, &stat) != 0) return true;
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return true;
  return info.me_last_pgno > 1 && (info.me_last_pgno + 1) * stat.ms_psize > static_cast<std::size_t>(status.st_size);
}

}  // namespace

void IndexCache::CloseEnvironment::operator()(MDB_env* environment) const noexcept { mdb_env_close(environment); }

std::shared_ptr<IndexCache> IndexCache::open(const std::filesystem::path& folder) {
  // The one table of the process: two environments on one file would drop each other's locks.
  static base::Guarded<std::map<std::filesystem::path, std::weak_ptr<IndexCache>>> opened;
  const std::filesystem::path own = std::filesystem::absolute(folder / k_layout).lexically_normal();
  return opened.with([&](auto& table) {
    std::shared_ptr<IndexCache> cache = table[own].lock();
    if (!cache) {
      cache.reset(new IndexCache(own));
      table[own] = cache;
    }
    return cache;
  });
}

IndexCache::IndexCache(const std::filesystem::path& folder)
    : folder_(folder), mark_(mark_beside(folder), [&] { start_anew("its last user crashed"); }) {
  base::create_folders(folder_);
  try {
    open_tables();
  } catch (const base::Error& error) {
    if (error.fault() != Fault::unavailable) throw;
    environment_.reset();
    start_anew(error.what());
    base::create_folders(folder_);
    open_tables();
  }
}

void IndexCache::start_anew(std::string_view reason) {
  base::log_info("the index cache '{}' is made anew: {}", folder_.string(), reason);
  std::filesystem::remove_all(folder_);
}

void IndexCache::open_tables() {
  MDB_env* environment = nullptr;
  check(mdb_env_create(&environment), "create");
  environment_.reset(environment);
  check(mdb_env_set_mapsize(environment, k_map_bytes), "set the map size");
  check(mdb_env_set_maxdbs(environment, 8), "set the table count");
  check(mdb_env_set_maxreaders(environment, k_readers_max), "set the reader count");
  // NOTLS: a read belongs to its transaction and not to its thread, as pipeline threads come and go.
  // Commits are synced: there are few of them, and an LMDB file torn by a power cut could crash us.
  check(mdb_env_open(environment, folder_.c_str(), MDB_NOTLS | MDB_NORDAHEAD, 0600), "open");
  if (cut_off(environment, folder_ / "data.mdb")) check(MDB_INVALID, "open");
  int dead_readers = 0;
  check(mdb_reader_check(environment, &dead_readers), "drop readers that died");
  Transaction transaction(environment, 0);
  blocks_ = transaction.table("blocks");
  packs_ = transaction.table("packs");
  pack_numbers_ = transaction.table("pack_numbers");
  indexes_ = transaction.table("indexes");
  facts_ = transaction.table("facts");
  transaction.commit();
}

std::optional<BlockLocation> IndexCache::find(const BlockName& name) const {
  const Transaction transaction(environment_.get(), MDB_RDONLY);
  const std::optional<base::ByteView> value = transaction.find(blocks_, name.bytes);
  if (!value || value->size() != k_location_bytes) return std::nullopt;
  base::ByteReader reader(*value, "index cache");
  const std::optional<base::ByteView> pack = transaction.find(packs_, reader.raw(4));
  if (!pack || pack->size() != 33) return std::nullopt;
  BlockLocation location;
  std::copy_n(pack->begin(), 32, location.frame.pack.bytes.begin());
  location.frame.kind = static_cast<FrameKind>((*pack)[32]);
  location.frame.offset = reader.u64();
  location.frame.stored_length = reader.u32();
  location.frame.raw_length = reader.u32();
  location.frame.compression = static_cast<Compression>(reader.u8());
  location.offset = reader.u32();
  location.length = reader.u32();
  return location;
}

bool IndexCache::contains(const BlockName& name) const {
  const Transaction transaction(environment_.get(), MDB_RDONLY);
  return transaction.find(blocks_, name.bytes).has_value();
}

std::optional<base::Fd> IndexCache::take_turn(base::Milliseconds patience) const {
  constexpr std::chrono::milliseconds k_poll{20};
  const std::filesystem::path path = folder_.string() + ".turn";
  base::Fd file = base::open_file(path, O_RDWR | O_CREAT);
  for (const base::Stopwatch since; ::flock(file.get(), LOCK_EX | LOCK_NB) != 0; std::this_thread::sleep_for(k_poll)) {
    if (errno != EWOULDBLOCK && errno != EINTR) base::fail_errno(errno, "lock '" + path.string() + "'");
    if (since.elapsed() >= patience) return std::nullopt;
  }
  return file;
}

std::set<std::string> IndexCache::loaded() const { return list_indexes(true); }

std::set<std::string> IndexCache::begun() const { return list_indexes(false); }

std::set<std::string> IndexCache::list_indexes(bool whole_only) const {
  const Transaction transaction(environment_.get(), MDB_RDONLY);
  MDB_cursor* cursor = nullptr;
  check(mdb_cursor_open(transaction.get(), indexes_, &cursor), "list");
  const base::ScopeExit close([&] { mdb_cursor_close(cursor); });
  std::set<std::string> ids;
  MDB_val key{};
  MDB_val value{};
  int result = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
  for (; result == MDB_SUCCESS; result = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
    if (!whole_only || value.mv_size == 0) ids.insert(base::to_string(to_view(key)));
  }
  if (result != MDB_NOTFOUND) check(result, "list");
  return ids;
}

void IndexCache::add(const std::string& index_id, const std::vector<PackEntry>& packs) {
  // False: it was cleared between two transactions, and of the first nothing is left.
  const auto add_all = [&] {
    std::optional<Transaction> transaction(std::in_place, environment_.get(), 0U);
    const std::string generation = generation_in(*transaction, facts_);
    transaction->put(indexes_, base::as_bytes(index_id), base::as_bytes(k_begun));
    std::size_t names = 0;
    for (const PackEntry& pack : packs) {
      const std::uint32_t number = number_of(*transaction, packs_, pack_numbers_, pack);
      for (const FrameEntry& frame : pack.frames) {
        add_frame(*transaction, blocks_, number, frame);
        names += frame.blocks.size();
        if (names < k_names_per_transaction) continue;
        transaction->commit();
        transaction.emplace(environment_.get(), 0U);
        if (generation_in(*transaction, facts_) != generation) return false;
        names = 0;
      }
    }
    transaction->put(indexes_, base::as_bytes(index_id), {});
    transaction->commit();
    return true;
  };
  while (!add_all()) {
  }
}

void IndexCache::clear() {
  Transaction transaction(environment_.get(), 0);
  for (const unsigned table : {blocks_, packs_, pack_numbers_, indexes_})
    check(mdb_drop(transaction.get(), table, 0), "clear");
  transaction.put(facts_, base::as_bytes(k_generation), base::as_bytes(base::random_id(16)));
  transaction.commit();
}

std::string IndexCache::generation() const {
  return generation_in(Transaction(environment_.get(), MDB_RDONLY), facts_);
}

}  // namespace icecore::repository
