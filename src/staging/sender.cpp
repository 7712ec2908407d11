// SPDX-License-Identifier: Apache-2.0
#include "staging/sender.hpp"

#include <algorithm>
#include <array>

#include "base/failpoint.hpp"
#include "base/id.hpp"
#include "base/log.hpp"
#include "repository/index_object.hpp"
#include "staging/proof.hpp"

namespace icecore::staging {

using base::Fault;
using storage::Storage;

namespace {

// A disk that lies about flushing has written what it was given so long ago.
constexpr std::chrono::seconds k_disk_cache_max{60};
// Epochs: the remote has it whatever happens to connections; one that cannot fsync has read it back in the epoch that
// follows.
const std::string k_sure = "sure";
const std::string k_read = "read-";

}  // namespace

void upload_step(ObjectClass kind, const char* name) {
  static constexpr std::array k_kinds = {"pack", "index", "manifest"};
  base::failpoint(std::string("upload.") + k_kinds[static_cast<std::size_t>(kind)] + "." + name);
}

Sender::Sender(SpooledStorage& storage, repository::Repository& repository, const UploadLimit& limit)
    : storage_(storage),
      spool_(storage.spool()),
      repository_(repository),
      session_(base::random_id(4)),
      limiter_(limit) {}

void Sender::send(Storage& remote, const QueuedObject& object, const std::stop_token& stop) {
  Prepared prepared = take_prepared(object);  // whatever comes of it
  auto bytes = sound_bytes(spool_, repository_, object);
  if (!bytes && object.kind == ObjectClass::manifest) base::fail(Fault::busy, "'{}' has just rotted", object.name);
  if (!bytes) return set_aside(remote, object);
  const bool is_index = object.kind == ObjectClass::index;
  std::vector<repository::PackEntry> named = is_index ? packs_of(object, *bytes) : std::vector<repository::PackEntry>();
  bytes.reset();  // many packs go up at once: only what is under way of them stays in memory
  if (object.kind != ObjectClass::manifest) limiter_.pay(object.size, stop);
  if (stop.stop_requested()) base::fail(Fault::cancelled, "stopped before '{}' was uploaded", object.name);
  const RemoteLock lock = lock_for(remote, named);  // until it is there: no prune takes what it names in between
  if (is_index && was_replaced(remote, object, std::move(named))) return;
  const std::string epoch = epoch_of(remote);
  upload_step(object.kind, "sending");
  put(remote, object, std::move(prepared));
  note_sent(remote, object, epoch);
}

void Sender::prepare(Storage& remote, const QueuedObject& object) {
  if (object.kind != ObjectClass::manifest && is_limited()) return;
  Prepared prepared = remote.prepare_file(object.name, spool_.objects().file_of(object.name));
  prepared_.with([&](auto& all) { all[object.name] = std::move(prepared); });
}

Sender::Prepared Sender::take_prepared(const QueuedObject& object) {
  return prepared_.with([&](auto& all) {
    const auto node = all.extract(object.name);
    return node ? std::move(node.mapped()) : nullptr;
  });
}

void Sender::send_packs(Storage& remote, const NextPack& next, const PackSent& sent) {
  struct UnderWay {
    QueuedObject pack;
    std::string epoch;
  };
  std::deque<UnderWay> under_way;
  bool is_rotten = false;
  const auto next_file = [&]() -> std::optional<storage::NamedFile> {
    const std::optional<QueuedObject> pack = is_rotten ? std::nullopt : next();
    if (!pack) return std::nullopt;
    is_rotten = !sound_bytes(spool_, repository_, *pack);
    if (is_rotten) return std::nullopt;
    under_way.push_back({*pack, epoch_of(remote)});
    upload_step(pack->kind, "sending");
    return storage::NamedFile{pack->name, spool_.objects().file_of(pack->name)};
  };
  const auto stored = [&](const std::string&) {
    const UnderWay done = std::move(under_way.front());
    under_way.pop_front();
    note_sent(remote, done.pack, done.epoch);
    sent(done.pack);
  };
  remote.put_files(next_file, stored);
}

void Sender::note_sent(const Storage& remote, const QueuedObject& object, const std::string& epoch) {
  upload_step(object.kind, "sent");
  if (object.kind == ObjectClass::manifest) return;
  spool_.queue().set_state(object.number, ObjectState::uploaded, epoch);
  if (remote.durable_puts()) remember_recent(object.number);
  upload_step(object.kind, "noted");
}

void Sender::note_published(const Storage& remote, const QueuedObject& manifest) {
  spool_.queue().set_state(manifest.number, ObjectState::published, epoch_of(remote));
  upload_step(manifest.kind, "noted");
}

// Packs are named by their content, others at random: what is there under the name and is not the same is what a power
// loss left of it.
void Sender::put(Storage& remote, const QueuedObject& object, Prepared prepared) {
  const std::filesystem::path file = spool_.objects().file_of(object.name);
  try {
    prepared ? prepared->store() : remote.put_file(object.name, file);
  } catch (const base::Error& error) {
    // It was sound when it was looked at: the next attempt looks again, and sets it aside.
    if (error.fault() == Fault::corrupt && !sound_bytes(spool_, repository_, object))
      base::fail(Fault::busy, "'{}' rotted in staging while it was sent", object.name);
    if (error.fault() != Fault::conflict) throw;
    if (const auto size = remote.size_of(object.name); !size || *size == object.size) throw;
    base::log_warning("'{}' is damaged on '{}' and is uploaded again", object.name, storage_.url());
    remote.remove(object.name);
    remote.put_file(object.name, file);
  }
}

void Sender::remember_recent(std::int64_t number) {
  recent_.with([&](std::deque<Sent>& recent) {
    recent.push_back({number, {}});
    while (recent.front().since.elapsed() > k_disk_cache_max) {
      spool_.queue().set_epoch(recent.front().number, k_sure);
      recent.pop_front();
    }
  });
}

void Sender::set_aside(Storage& remote, const QueuedObject& object) {
  if (object.kind == ObjectClass::pack && remote.size_of(object.name) == object.size &&
      is_intact(remote, spool_, object))
    return spool_.queue().set_state(object.number, ObjectState::uploaded, k_sure);
  const std::string note = fmt::format("'{}' is damaged in staging", object.name);
  base::log_warning("{}: points that need it are refused", note);
  spool_.queue().set_state(object.number, ObjectState::refused, "", note);
  spool_.drop_file(object);
}

std::vector<repository::PackEntry> Sender::packs_of(const QueuedObject& index, base::ByteView bytes) const {
  const std::string id = index.name.substr(index.name.rfind('/') + 1);
  return repository::decode_index(repository_.keys(), repository_.config(), id, bytes);
}

// Packs that did not come by way of the queue were marked by a prune, and taken back while somebody held a lock: it has
// ended since.
RemoteLock Sender::lock_for(Storage& remote, const std::vector<repository::PackEntry>& packs) {
  const bool all_ours = std::ranges::all_of(
      packs, [&](const auto& pack) { return spool_.queue().find(repository::pack_object(pack.id)).has_value(); });
  return all_ours ? nullptr : lock_remote(storage_, repository_, remote, "upload of an index");
}

// An index must not promise others blocks that will never come.
bool Sender::was_replaced(Storage& remote, const QueuedObject& index, std::vector<repository::PackEntry> packs) {
  std::vector<std::string> not_ours;
  std::set<std::string> without;
  for (const repository::PackEntry& pack : packs) {
    const std::string name = repository::pack_object(pack.id);
    const auto known = spool_.queue().find(name);
    if (!known) not_ours.push_back(name);
    if (!known || known->state == ObjectState::refused) without.insert(name);
  }
  for (const auto& [name, size] : sizes_on(remote, not_ours)) without.erase(name);
  if (without.empty()) return false;
  std::erase_if(packs, [&](const auto& pack) { return without.contains(repository::pack_object(pack.id)); });
  base::log_warning("'{}' names {} packs that are gone, and is replaced", index.name, without.size());
  const std::string new_id = base::random_id(16);
  if (!packs.empty())
    storage_.put(repository::index_object(new_id), repository::encode_index(repository_.keys(), new_id, packs));
  remote.remove(index.name);
  spool_.drop(index);
  return true;
}

// Objects of one epoch were sent without any connection lost since.
std::string Sender::epoch_of(const Storage& remote) const {
  return fmt::format("{}-{}-{}", session_, remote.generation(), losses_.with([](std::uint64_t n) { return n; }));
}

bool Sender::is_doubted(const Storage& remote, const QueuedObject& object) const {
  const std::string epoch = epoch_of(remote);
  return object.epoch != k_sure && object.epoch != (remote.durable_puts() ? epoch : k_read + epoch);
}

void Sender::note_proved(const Storage& remote, const QueuedObject& object) {
  const std::string epoch = epoch_of(remote);
  if (remote.durable_puts()) {
    spool_.queue().set_epoch(object.number, epoch);
    remember_recent(object.number);
  } else {
    const bool is_ours = object.epoch.find(session_) != std::string::npos;
    spool_.queue().set_epoch(object.number, is_ours ? k_read + epoch : k_sure);
  }
}

bool Sender::may_be_lost(const QueuedObject& object) { return object.epoch.starts_with(k_read); }

void Sender::note_loss() {
  losses_.with([](std::uint64_t& losses) { ++losses; });
}

}  // namespace icecore::staging
