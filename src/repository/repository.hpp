// SPDX-License-Identifier: Apache-2.0
// An open repository: its config, its keys and its index. The format is written in FORMAT.md.
//
// Threads: all methods may be called from several threads at once.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "base/guarded.hpp"
#include "repository/config.hpp"
#include "repository/index_cache.hpp"
#include "repository/key_file.hpp"
#include "repository/key_ring.hpp"
#include "repository/key_slot.hpp"
#include "storage/storage.hpp"

namespace icecore::repository {

struct InitOptions {
  bool encrypt = true;
  std::uint32_t block_bytes = 64 * base::k_kib;
  std::uint32_t frame_bytes = 2 * base::k_mib;
  std::uint32_t pack_bytes = 32 * base::k_mib;
  std::uint32_t fan_out = 1024;
  PassphraseCost passphrase_cost;
};

class Repository {
 public:
  // Makes a repository in an empty place; open it afterwards. Keys are written first and `config` last, so
  // an interrupted creation leaves no repository. Fault::conflict when one is there; Fault::usage when the
  // credential and options.encrypt do not fit.
  static Config create(storage::Storage& storage, const InitOptions& options, const Credential& credential);

  // Opens: reads `config`, finds the key slot. The index is opened at first use, below
  // cache_folder/<repository id>. `storage` outlives the repository. Fault::not_found: no repository there;
  // Fault::denied: no slot opens with this credential; Fault::usage: a newer format, or a credential for
  // an unencrypted repository (somebody may have put that in the place of yours). `check` sees the config before the
  // credential is tried and throws when it is not the one meant.
  using ConfigCheck = std::function<void(const Config&)>;
  Repository(storage::Storage& storage, const Credential& credential, std::filesystem::path cache_folder,
             const ConfigCheck& check = {});

  const Config& config() const noexcept { return config_; }
  storage::Storage& storage() const noexcept { return storage_; }
  const KeyRing& keys() const noexcept { return keys_; }
  IndexCache& index();

  // Loads the index objects the cache has not seen; if one it has seen is gone, starts it anew. Returns the cache's
  // generation with all of that in it: once it is another, somebody has forgotten what was there, and may not have
  // brought all of it in again.
  std::string refresh_index();
  // refresh_index(), by whom is going to leave out blocks the index knows. From the first such call on,
  // index_still_holds() watches over them.
  void begin_relying_on_index();
  // False when index objects that somebody relied on may be gone: pruned. True costs one list of index/; without
  // a begin_relying_on_index() before it is false.
  bool index_still_holds();
  // Throws the cache's content away and loads all index objects.
  void rebuild_index();
  // For readers that met a location which does not hold what it should, or none: as rebuild_index() at the first call
  // on this object; later ones do something only when another process has started the cache anew since, as after each
  // prune. False: they did not.
  bool renew_index();

  // For as long as nobody uses this object to store points, as in a restore: whether look_in_marked_packs() does
  // something. A point that counts on a marked pack would have to take it back first.
  void allow_marked_packs(bool allow);
  // For readers that miss a block: from now on locate() finds what lies in packs that a prune has marked, too. Looks at
  // the marks anew each time. False: not allowed.
  bool look_in_marked_packs();

  // Where a block lies, or nothing. Only knows what the last refresh_index() or BlockWriter brought, and
  // look_in_marked_packs().
  std::optional<BlockLocation> locate(const BlockName& name);

 private:
  struct Opened {
    Config config;
    KeyRing keys;
  };
  static Opened unlock(storage::Storage& storage, const Credential& credential, const ConfigCheck& check);
  Repository(storage::Storage& storage, Opened opened, std::filesystem::path cache_folder);
  // Returns the generation.
  std::string refresh_locked(bool anew = false);

  storage::Storage& storage_;
  Config config_;
  KeyRing keys_;
  std::filesystem::path cache_folder_;
  base::Guarded<std::shared_ptr<IndexCache>> index_;
  struct IndexState {
    std::optional<std::string> renewed;    // IndexCache::generation() of then
    std::optional<std::string> relied_on;  // IndexCache::generation() of then
  };
  struct MarkedState {
    bool allowed = false;
    std::shared_ptr<IndexCache> packs;  // null before the first look
  };
  base::Guarded<MarkedState> marked_;      // held while the marks are read
  base::Guarded<IndexState> index_state_;  // held while the index is refreshed: one refresh at a time
};

}  // namespace icecore::repository
