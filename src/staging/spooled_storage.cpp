// SPDX-License-Identifier: Apache-2.0
#include "staging/spooled_storage.hpp"

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/id.hpp"
#include "base/log.hpp"
#include "repository/config.hpp"
#include "staging/when_reachable.hpp"

namespace icecore::staging {

using base::Fault;
using storage::ObjectInfo;
using storage::Storage;

namespace {

constexpr std::uint64_t k_config_size_max = 64 * base::k_kib;
constexpr std::uint64_t k_index_size_max = 64 * base::k_mib;
constexpr base::Milliseconds k_room_poll{100};
// One uploader takes over from another within a fraction of it.
constexpr base::Milliseconds k_no_upload_max{3000};
// The last object that was uploaded is noted as gone a moment before its file is.
constexpr int k_looks_after_the_last = 10;
// With less than this on its file system a queue cannot note what is uploaded, so that nothing makes room.
constexpr std::uint64_t k_noting_room = 256 * base::k_kib;

bool is_lock(const std::string& name) { return name.starts_with("locks/") || name.starts_with("heartbeats/"); }
bool is_key(const std::string& name) { return name == "keys" || name.starts_with("keys/"); }
// What is noted about a point: missed, like in a list, when the remote does not answer.
bool is_mark(const std::string& name) { return name.starts_with("damage/") || name.starts_with("protections/"); }
bool is_cached(const std::string& name) { return name == repository::k_config_name || is_key(name); }
// What the remote says about points is missed when it does not answer; nothing is changed by its word alone.
bool is_told_by_remote(const std::string& folder) {
  const std::string top = folder.substr(0, folder.find('/'));
  return top == "manifests" || top == "groups" || top == "protections" || top == "damage" || top == "locks";
}

std::uint64_t total_size(std::span<const base::ByteView> parts) {
  std::uint64_t size = 0;
  for (const base::ByteView part : parts) size += part.size();
  return size;
}

// A folder that is not mounted now is a remote that does not answer.
RemoteLink::Opener absent_is_unavailable(RemoteLink::Opener opener) {
  return [opener = std::move(opener)] {
    try {
      return opener();
    } catch (const base::Error& error) {
      if (error.fault() != Fault::not_found) throw;
      throw base::Error(Fault::unavailable, error.what());
    }
  };
}

bool can_note(const Spool& spool) {
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(spool.folder(), error);
  return error || space.available >= k_noting_room;
}

[[noreturn]] void fail_other_repository(const std::string& url, const std::filesystem::path& spool) {
  throw base::Error(Fault::conflict, fmt::format("the repository in '{}' is not the one that was there before", url))
      .add_hint(fmt::format("if it was made anew on purpose, remove '{}': backups waiting in there are lost then",
                            spool.string()));
}

// Of a repository that was there before: a disk that is not mounted leaves an empty folder behind.
base::Bytes read_known_config(Storage& storage) {
  try {
    return repository::read_config_object(storage);
  } catch (const base::Error& error) {
    if (error.fault() != Fault::not_found) throw;
    throw base::Error(Fault::unavailable, fmt::format("the repository is not in '{}' now", storage.url()))
        .add_hint("if it is on a disk of its own, mount that");
  }
}

}  // namespace

SpooledStorage::SpooledStorage(const std::string& url, RemoteLink::Opener remote,
                               const std::filesystem::path& staging_dir, std::uint64_t spool_bytes_max,
                               bool side_by_side)
    : url_(url), link_(absent_is_unavailable(remote)), writer_(base::random_id(8)) {
  spool_ = std::make_unique<Spool>(find_place(remote, staging_dir, side_by_side), spool_bytes_max);
  if (config_) check_config(*config_);
}

SpoolPlace SpooledStorage::find_place(const RemoteLink::Opener& remote, const std::filesystem::path& staging_dir,
                                      bool side_by_side) {
  const std::string config_name(repository::k_config_name);
  const std::vector<SpoolPlace> places = find_spools(staging_dir);
  const auto known = std::find_if(places.begin(), places.end(), [&](const auto& place) { return place.url == url_; });
  const bool is_known = known != places.end() && std::filesystem::exists(known->folder / "cached" / config_name);
  const bool reached = when_reachable([&] {
    config_ = link_.attempt([&](Storage& storage) {
      keys_ahead_.with([&](auto& keys) {
        if (side_by_side)
          keys = flow::Ahead<std::vector<ObjectInfo>>([remote = link_.open()] { return remote->list("keys"); });
      });
      return is_known ? read_known_config(storage) : repository::read_config_object(storage);
    });
  });
  if (reached) {
    const std::string id = repository::decode_config(*config_).repository_id;
    if (known != places.end() && known->repository_id != id) fail_other_repository(url_, known->folder);
    return {staging_dir / id, id, url_};
  }
  if (!is_known) static_cast<void>(remote());  // throws as it does without staging
  if (!is_known) base::fail(Fault::unavailable, "{}", link_.trouble());
  return *known;
}

void SpooledStorage::check_config(const base::Bytes& config) {
  const std::string name(repository::k_config_name);
  if (!spool_->cached().exists(name)) spool_->cached().put(name, config);
  if (spool_->cached().get(name, k_config_size_max) != config) fail_other_repository(url_, spool_->folder());
  proven_.with([](bool& proven) { proven = true; });
}

void SpooledStorage::check_remote() {
  if (proven_.with([](bool proven) { return proven; })) return;
  check_config(read_known_config(*link_.open()));
}

void SpooledStorage::expect_mounted(Storage& remote) const {
  if (!remote.exists(std::string(repository::k_config_name)))
    base::fail(Fault::unavailable, "the repository is not in '{}' now", url_);
}

void SpooledStorage::cache_index(const std::string& name) {
  if (spool_->objects().exists(name)) spool_->cached().put(name, spool_->objects().get(name, k_index_size_max));
}

void SpooledStorage::doubt_remote() {
  proven_.with([](bool& proven) { proven = false; });
}

void SpooledStorage::set_wait_hook(std::function<void()> hook) {
  wait_hook_.with([&](auto& now) { now = std::move(hook); });
}

void SpooledStorage::put(const std::string& name, std::span<const base::ByteView> parts) {
  if (class_of(name)) return put_in_spool(name, parts);
  if (is_lock(name)) {
    return write_lock(name, [&](Storage& storage) { storage.put(name, parts); });
  }
  link_.attempt([&](Storage& storage) { storage.put(name, parts); });
  if (is_cached(name)) spool_->cached().put(name, parts);
}

void SpooledStorage::replace(const std::string& name, base::ByteView bytes) {
  const auto act = [&](Storage& storage) { storage.replace(name, bytes); };
  if (is_lock(name)) return write_lock(name, act);
  link_.attempt(act);
}

// A backup goes on without the network: what a lock is there to prevent is looked for again before it is published.
void SpooledStorage::write_lock(const std::string& name, const std::function<void(Storage&)>& write) {
  const bool on_remote = when_helpful([&] { link_.attempt(write); });
  if (!on_remote) base::log_info("lock '{}' is not on the remote: {}", name, trouble());
  own_locks_.with([&](auto& locks) { locks[name] = on_remote; });
}

bool SpooledStorage::is_on_remote(const std::string& lock) const {
  return own_locks_.with([&](const auto& locks) {
    const auto found = locks.find(lock);
    return found != locks.end() && found->second;
  });
}

void SpooledStorage::put_in_spool(const std::string& name, std::span<const base::ByteView> parts) {
  const std::uint64_t size = total_size(parts);
  if (const auto known = spool_->queue().find(name); known && known->state != ObjectState::refused) {
    if (known->size == size) return;
    base::fail(Fault::conflict, "object '{}' exists in '{}' with {} bytes instead of {}", name, url_, known->size,
               size);
  }
  // The rest is small and ends what holds the room.
  if (class_of(name) == ObjectClass::pack) wait_for_room(size);
  writing_.with([&](base::Fd& lock) {
    if (lock) return;
    claim_spool();
    lock = spool_->begin_writing(writer_);
  });
  write_object(name, parts);
  base::failpoint("staging.object_written");
  const bool is_manifest = class_of(name) == ObjectClass::manifest;
  spool_->queue().add(name, size, writer_, is_manifest ? indexes_seen() : std::set<std::string>{});
  base::failpoint("staging.object_queued");
  spool_->notify();
}

void SpooledStorage::wait_for_room(std::uint64_t size) {
  base::Stopwatch since_upload;
  while (true) {
    const std::uint64_t now = spool_->queue().bytes_in_transit();
    if (spool_->queue().bytes_to_go() == 0 || now + size <= spool_->bytes_max()) return;
    wait_a_moment(fmt::format("staging '{}' is full: {} of {} wait for their upload", spool_->folder().string(),
                              base::format_size(now), base::format_size(spool_->bytes_max())),
                  since_upload);
  }
}

void SpooledStorage::write_object(const std::string& name, std::span<const base::ByteView> parts) {
  base::Stopwatch since_upload;
  int in_vain = 0;
  while (true) {
    try {
      return spool_->objects().put(name, parts);
    } catch (const base::Error& error) {
      if (error.fault() != Fault::no_space) throw;
      // Uploads make room; without any nothing will change.
      if (spool_->queue().bytes_to_go() > 0) {
        in_vain = 0;
        wait_a_moment(error.what(), since_upload);
      } else {
        if (++in_vain > k_looks_after_the_last) throw;
        spool_->wait(k_room_poll, {});
      }
    }
  }
}

// Nobody makes room while nobody uploads, or can note it: then the guest must not wait for it.
void SpooledStorage::wait_a_moment(const std::string& why, base::Stopwatch& since_upload) {
  const auto hook = wait_hook_.with([](const auto& now) { return now; });
  const std::string remote = trouble();
  const std::string text = remote.empty() ? why : why + "; the remote does not answer: " + remote;
  const bool noting = can_note(*spool_);
  if (noting && !spool_->try_upload_lock()) since_upload = {};
  const bool in_vain = since_upload.elapsed() > k_no_upload_max;
  if (in_vain && !noting) base::fail(Fault::no_space, "{}; without any space no upload makes room", text);
  if (!hook || in_vain) throw base::Error(Fault::no_space, text + "; nobody uploads").add_hint("icecore upload");
  base::with_context(hook, "{}", text);
  spool_->wait(k_room_poll, {});
}

template <typename Read>
base::Bytes SpooledStorage::read(const std::string& name, Read&& action) {
  if (is_cached(name) && spool_->cached().exists(name)) return action(spool_->cached());
  if (class_of(name) && spool_->objects().exists(name)) {
    try {
      return action(spool_->objects());
    } catch (const base::Error& error) {
      if (error.fault() != Fault::not_found) throw;  // published between the two lines: it is on the remote
    }
  }
  return link_.attempt(action);
}

base::Bytes SpooledStorage::get_index(const std::string& name, std::uint64_t size_max) {
  base::Bytes bytes;
  const auto silence =
      silence_at([&] { bytes = read(name, [&](Storage& storage) { return storage.get(name, size_max); }); });
  if (silence && !spool_->cached().exists(name)) throw base::Error(*silence);
  if (silence) return spool_->cached().get(name, size_max);
  spool_->cached().put(name, bytes);
  return bytes;
}

base::Bytes SpooledStorage::get(const std::string& name, std::uint64_t size_max) {
  if (class_of(name) == ObjectClass::index) return get_index(name, size_max);
  base::Bytes bytes = read(name, [&](Storage& storage) { return storage.get(name, size_max); });
  if (is_key(name)) spool_->cached().put(name, bytes);
  return bytes;
}

base::Bytes SpooledStorage::get_range(const std::string& name, std::uint64_t offset, std::size_t length) {
  return read(name, [&](Storage& storage) { return storage.get_range(name, offset, length); });
}

bool SpooledStorage::exists(const std::string& name) {
  if (name == repository::k_config_name && spool_->cached().exists(name)) return true;
  if (class_of(name) && spool_->objects().exists(name)) return true;
  if (is_mark(name)) {
    bool there = false;
    silence_at([&] { there = link_.attempt([&](Storage& storage) { return storage.exists(name); }); });
    return there;
  }
  if (!is_lock(name)) return link_.attempt([&](Storage& storage) { return storage.exists(name); });
  const auto own = own_locks_.with([&](const auto& locks) -> std::optional<bool> {
    const auto found = locks.find(name);
    return found == locks.end() ? std::nullopt : std::optional(found->second);
  });
  if (own == false) return true;  // nobody can have removed what never got there
  bool there = own.has_value();
  when_helpful([&] {
    link_.attempt([&](Storage& storage) {
      there = storage.exists(name);
      if (!there) expect_mounted(storage);
    });
  });
  return there || (own && !trouble().empty());
}

// First here, then there: an object that moves meanwhile is seen twice and not missed. Kept points were there: what the
// remote no longer lists was forgotten.
std::vector<std::optional<std::uint64_t>> SpooledStorage::sizes_of(const std::vector<std::string>& names) {
  std::vector<std::optional<std::uint64_t>> sizes;
  std::vector<std::string> others;
  for (const std::string& name : names) {
    const auto row = class_of(name) ? spool_->queue().find(name) : std::nullopt;
    if (!row) others.push_back(name);
    sizes.push_back(row ? std::optional(row->size) : std::nullopt);
  }
  if (others.empty()) return sizes;
  const auto found = link_.attempt([&](Storage& storage) { return storage.sizes_of(others); });
  for (std::size_t i = 0, next = 0; i < names.size() && next < others.size(); ++i) {
    if (names[i] == others[next]) sizes[i] = found[next++];
  }
  return sizes;
}

std::vector<ObjectInfo> SpooledStorage::list(const std::string& folder) {
  if (is_key(folder)) return list_keys(folder);
  const std::vector<std::string> kept = spool_->queue().kept_manifests(folder);
  std::set<std::string> forgotten(kept.begin(), kept.end());
  std::vector<ObjectInfo> objects = spool_->queue().present(folder);
  std::vector<ObjectInfo> there = list_remote(folder, forgotten);
  std::erase_if(objects, [&](const ObjectInfo& object) { return forgotten.contains(object.name); });
  std::set<std::string> here;
  for (const ObjectInfo& object : objects) here.insert(object.name);
  for (ObjectInfo& object : there) {
    if (!here.contains(object.name)) objects.push_back(std::move(object));
  }
  if (folder == "index") {
    indexes_seen_.with([&](std::set<std::string>& seen) {
      for (const ObjectInfo& object : objects) seen.insert(object.name);
    });
  }
  return objects;
}

std::set<std::string> SpooledStorage::indexes_seen() const {
  return indexes_seen_.with([](const std::set<std::string>& seen) { return seen; });
}

// Takes what is there out of `expected`, or all of it when the remote does not tell.
std::vector<ObjectInfo> SpooledStorage::list_remote(const std::string& folder, std::set<std::string>& expected) {
  std::vector<ObjectInfo> objects;
  const auto list_there = [&](Storage& storage) {
    std::vector<ObjectInfo> found = storage.list(folder);
    for (const ObjectInfo& object : found) expected.erase(object.name);
    if (!expected.empty()) expect_mounted(storage);
    return found;
  };
  const auto silence = silence_at([&] { objects = link_.attempt(list_there); });
  if (silence) expected.clear();
  if (!silence && folder == "index") remember_indexes(objects);
  if (!silence || is_told_by_remote(folder)) return objects;
  if (folder == "index") return spool_->queue().remembered(folder);
  throw base::Error(*silence);
}

// Those that are gone would only take room.
void SpooledStorage::remember_indexes(const std::vector<ObjectInfo>& objects) {
  spool_->queue().remember("index", objects);
  std::set<std::string> names;
  for (const ObjectInfo& object : objects) names.insert(object.name);
  for (const ObjectInfo& cached : spool_->cached().list("index")) {
    if (!names.contains(cached.name) && !spool_->objects().exists(cached.name)) spool_->cached().remove(cached.name);
  }
}

// A slot that was removed must not open the repository from the cache.
std::vector<ObjectInfo> SpooledStorage::list_keys(const std::string& folder) {
  std::vector<ObjectInfo> objects;
  auto ahead = keys_ahead_.with([](auto& keys) { return std::move(keys); });
  const auto ask = [&](Storage& storage) { return ahead.is_there() ? ahead.get() : storage.list(folder); };
  if (!when_reachable([&] { objects = link_.attempt(ask); })) return spool_->cached().list(folder);
  for (const ObjectInfo& cached : spool_->cached().list(folder)) {
    const bool there =
        std::any_of(objects.begin(), objects.end(), [&](const auto& o) { return o.name == cached.name; });
    if (!there) spool_->cached().remove(cached.name);
  }
  return objects;
}

void SpooledStorage::remove(const std::string& name) {
  const auto act = [&](Storage& storage) { storage.remove(name); };
  if (is_lock(name)) {
    own_locks_.with([&](auto& locks) { locks.erase(name); });
    if (!when_reachable([&] { link_.attempt(act); })) base::log_warning("lock '{}' may be left on '{}'", name, url_);
    return;
  }
  // Here first: what waits for its upload must not go up later because the remote is silent now.
  if (const auto known = spool_->queue().find(name)) spool_->drop(*known);
  link_.attempt(act);
  if (is_cached(name)) spool_->cached().remove(name);
}

}  // namespace icecore::staging
