// SPDX-License-Identifier: Apache-2.0
#include "repository/repository.hpp"

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/id.hpp"
#include "base/log.hpp"
#include "repository/envelope.hpp"
#include "repository/index_object.hpp"
#include "repository/key_slots.hpp"
#include "repository/prune_mark.hpp"
#include "storage/get_if_there.hpp"

namespace icecore::repository {

using base::Fault;

namespace {

bool is_none(const Credential& credential) { return std::holds_alternative<std::monostate>(credential); }

constexpr int k_refreshes_max = 10;

std::string last_part(const std::string& name) { return name.substr(name.rfind('/') + 1); }

Config new_config(const InitOptions& options) {
  Config config;
  config.repository_id = base::random_id(16);
  config.created = base::now();
  config.encrypted = options.encrypt;
  config.block_bytes = options.block_bytes;
  config.frame_bytes = options.frame_bytes;
  config.pack_bytes = options.pack_bytes;
  config.fan_out = options.fan_out;
  check_sizes(config);
  return config;
}

// The cache's generation, in which nothing of what is listed is missing; if it is another by now, somebody has cleared
// what was added. Nothing: the list was old.
std::optional<std::string> load_listed(storage::Storage& storage, const KeyRing& keys, const Config& config,
                                       IndexCache& cache) {
  const std::vector<storage::ObjectInfo> objects = storage.list("index");
  std::set<std::string> gone = cache.begun();
  for (const storage::ObjectInfo& object : objects) gone.erase(last_part(object.name));
  if (!gone.empty()) {
    // Entries do not know which index object they came from, so nothing less than all can be forgotten.
    base::log_info("index {} is gone from '{}'; the index cache starts anew", *gone.begin(), storage.url());
    cache.clear();
  }
  std::string generation = cache.generation();
  const std::set<std::string> loaded = cache.loaded();
  for (const storage::ObjectInfo& object : objects) {
    const std::string id = last_part(object.name);
    if (loaded.contains(id)) continue;
    const std::optional<base::Bytes> bytes = storage::get_if_there(storage, object.name, size_max(ObjectKind::index));
    if (!bytes) return std::nullopt;
    cache.add(id, decode_index(keys, config, id, *bytes));
  }
  return generation;
}

}  // namespace

Config Repository::create(storage::Storage& storage, const InitOptions& options, const Credential& credential) {
  if (!options.encrypt && !is_none(credential))
    base::fail(Fault::usage, "an unencrypted repository takes no key file or passphrase");
  if (storage.exists(std::string(k_config_name)))
    base::fail(Fault::conflict, "there is a repository in '{}' already", storage.url());
  const Config config = new_config(options);
  const base::Bytes object = encode_config(config);
  if (options.encrypt) {
    const Secret master = Secret::random(k_key_bytes);
    const KeySlot slot = make_slot(master, credential, object, options.passphrase_cost);
    storage.put(key_slot_object(slot.id), encode_slot(slot));
  }
  base::failpoint("repository.key_written");
  storage.put(std::string(k_config_name), object);
  return config;
}

Repository::Opened Repository::unlock(storage::Storage& storage, const Credential& credential,
                                      const ConfigCheck& check) {
  const base::Bytes object = read_config_object(storage);
  Config config = base::with_context([&] { return decode_config(object); }, "repository '{}'", storage.url());
  if (check) check(config);
  if (!config.encrypted) {
    if (!is_none(credential)) {
      throw base::Error(Fault::usage,
                        fmt::format("the repository in '{}' is not encrypted, but a key was given", storage.url()))
          .add_hint("if that is no surprise, leave out the key; otherwise do not use this repository");
    }
    return {config, KeyRing::unencrypted()};
  }
  return {config, KeyRing(open_master(storage, credential, object).master, true)};
}

Repository::Repository(storage::Storage& storage, const Credential& credential, std::filesystem::path cache_folder,
                       const ConfigCheck& check)
    : Repository(storage, unlock(storage, credential, check), std::move(cache_folder)) {}

Repository::Repository(storage::Storage& storage, Opened opened, std::filesystem::path cache_folder)
    : storage_(storage),
      config_(std::move(opened.config)),
      keys_(std::move(opened.keys)),
      cache_folder_(std::move(cache_folder)) {}

IndexCache& Repository::index() {
  return *index_.with([&](std::shared_ptr<IndexCache>& cache) {
    if (!cache) cache = IndexCache::open(cache_folder_ / config_.repository_id);
    return cache.get();
  });
}

std::string Repository::refresh_index() {
  return index_state_.with([&](IndexState&) { return refresh_locked(); });
}

void Repository::begin_relying_on_index() {
  index_state_.with([&](IndexState& state) {
    const std::string generation = refresh_locked();
    if (!state.relied_on) state.relied_on = generation;
  });
}

bool Repository::index_still_holds() {
  return index_state_.with([&](IndexState& state) {
    std::set<std::string> gone = index().begun();
    for (const std::string& id : list_indexes(storage_)) gone.erase(id);
    return gone.empty() && state.relied_on == index().generation();
  });
}

void Repository::rebuild_index() {
  index_state_.with([&](IndexState&) { refresh_locked(true); });
}

bool Repository::renew_index() {
  return index_state_.with([&](IndexState& state) {
    if (state.renewed == index().generation()) return false;
    if (!state.renewed)
      base::log_info("the index cache does not match the repository '{}'; it is made anew", storage_.url());
    state.renewed = refresh_locked(!state.renewed);
    return true;
  });
}

void Repository::allow_marked_packs(bool allow) {
  marked_.with([&](MarkedState& state) { state = {.allowed = allow, .packs = nullptr}; });
}

bool Repository::look_in_marked_packs() {
  return marked_.with([&](MarkedState& state) {
    if (!state.allowed) return false;
    if (!state.packs) state.packs = IndexCache::open(cache_folder_ / (config_.repository_id + "-marked"));
    load_marked_packs(*this, *state.packs);
    return true;
  });
}

std::optional<BlockLocation> Repository::locate(const BlockName& name) {
  if (const auto location = index().find(name)) return location;
  const auto marked = marked_.with([](const MarkedState& state) { return state.packs; });
  return marked ? marked->find(name) : std::nullopt;
}

// A prune replaces index objects while we read: what is gone by the time it is read is listed no longer, and what
// replaces it was there before it went.
std::string Repository::refresh_locked(bool anew) {
  const std::optional<base::Fd> turn = index().take_turn();
  if (anew) index().clear();
  for (int tries = 1;; ++tries) {
    if (const auto generation = load_listed(storage_, keys_, config_, index())) return *generation;
    if (tries == k_refreshes_max)
      base::fail(Fault::unavailable, "the index of '{}' lists objects that are not there", storage_.url());
  }
}

}  // namespace icecore::repository
