// SPDX-License-Identifier: Apache-2.0
#include "staging/publisher.hpp"

#include <algorithm>
#include <map>

#include "base/log.hpp"
#include "repository/group.hpp"
#include "repository/publish_check.hpp"

namespace icecore::staging {

using base::Fault;
using storage::Storage;
using Outcome = Publication::Outcome;

namespace {

std::set<std::string> names_in(const std::vector<storage::ObjectInfo>& objects) {
  std::set<std::string> names;
  for (const storage::ObjectInfo& object : objects) names.insert(object.name);
  return names;
}

}  // namespace

Publisher::Publisher(SpooledStorage& storage, repository::Repository& repository, Sender& sender)
    : storage_(storage), spool_(storage.spool()), repository_(repository), sender_(sender) {}

// Reading back may take hours and goes without a lock. The lock is held from the look at what is there to the
// manifest, and has to be on the remote: no prune takes anything in between.
Publication Publisher::publish(Storage& remote, const QueuedObject& manifest, const std::stop_token& stop) {
  if (!sound_bytes(spool_, repository_, manifest)) return {Outcome::refused, "its manifest is damaged in staging"};
  RemoteLock lock = prepared_lock();
  if (is_doubted(remote, manifest)) {
    lock.reset();
    read_back(remote, manifest, stop);
  }
  if (!lock) lock = take_lock(remote);
  try {
    Publication publication = publish_locked(remote, manifest, *lock, stop);
    // It may have come before it turned out incomplete, also by an uploader that was killed then.
    if (publication.outcome == Outcome::refused)
      repository::remove_manifest(remote, repository::load_manifest(repository_, manifest.name));
    return publication;
  } catch (const base::Error& error) {
    if (error.fault() != Fault::conflict || is_locked(remote, *lock)) throw;
    spool_.queue().stop_relying(manifest.name);  // under the next lock all its blocks are looked up
    return {Outcome::later, error.what()};
  }
}

void Publisher::prepare(Storage& remote) {
  RemoteLock lock = take_lock(remote);
  prepared_.with([&](RemoteLock& prepared) { std::swap(prepared, lock); });
}

RemoteLock Publisher::prepared_lock() {
  return prepared_.with([](RemoteLock& prepared) { return std::move(prepared); });
}

RemoteLock Publisher::take_lock(Storage& remote) {
  return lock_remote(storage_, repository_, remote, "upload of a restore point");
}

// Somebody may take our lock for left behind, and a prune sweep then.
bool Publisher::is_locked(Storage& remote, const repository::RepositoryLock& lock) const {
  if (remote.exists(repository::lock_object(lock.id()))) return true;
  storage_.expect_mounted(remote);
  return false;
}

Publication Publisher::publish_locked(Storage& remote, const QueuedObject& manifest, repository::RepositoryLock& lock,
                                      const std::stop_token& stop) {
  const std::vector<QueuedObject> sent = spool_.queue().sent_before(manifest.number);
  const Sizes there = look(remote, manifest, sent, lock);
  if (auto loss = find_loss(remote, sent, there)) return *loss;
  upload_step(manifest.kind, "proved");
  if (!is_indexed(manifest, there)) {
    if (auto obstacle = look_blocks_up(manifest, lock)) return *obstacle;
    lock.check();
  }
  // What an uploader that was killed has sent, and a power loss may have damaged.
  const auto rest = there.find(manifest.name);
  if (rest != there.end() && rest->second == manifest.size && !is_intact(remote, spool_, manifest))
    remote.remove(manifest.name);
  sender_.send(remote, manifest, stop);
  // Once more: a prune may have read the manifests before this one and replaced the index after the first look.
  if (!is_indexed(manifest, look(remote, manifest, {}, lock))) {
    if (auto obstacle = look_blocks_up(manifest, lock)) return *obstacle;
    lock.check();
  }
  complete_group(remote, manifest);
  sender_.note_published(remote, manifest);
  return {};
}

// Whoever uploads the last of its points, which all are looked for on the remote.
void Publisher::complete_group(Storage& remote, const QueuedObject& manifest) {
  repository::complete_group(repository_.keys(), remote, repository::load_manifest(repository_, manifest.name));
  upload_step(manifest.kind, "completed");
}

// One question about all that the point needs, and last about the lock: it was held while the rest was looked at.
Sizes Publisher::look(Storage& remote, const QueuedObject& manifest, const std::vector<QueuedObject>& sent,
                      repository::RepositoryLock& lock) const {
  const std::string lock_name = repository::lock_object(lock.id());
  std::vector<std::string> names{std::string(repository::k_config_name), manifest.name};
  for (const QueuedObject& object : sent) names.push_back(object.name);
  for (const std::string& index : spool_.queue().relied_on(manifest.name)) names.push_back(index);
  names.push_back(lock_name);
  Sizes there = sizes_on(remote, names);
  if (!there.contains(names.front())) storage_.expect_mounted(remote);
  if (!there.contains(lock_name)) lock.check();
  return there;
}

// By size: the rest was read back. What was lost goes back into the queue, before the manifest.
std::optional<Publication> Publisher::find_loss(Storage& remote, const std::vector<QueuedObject>& sent,
                                                const Sizes& there) {
  std::optional<Publication> loss;
  for (const QueuedObject& object : sent) {
    const auto found = there.find(object.name);
    if (found != there.end() && found->second == object.size) continue;
    loss = Publication{Outcome::later, fmt::format("'{}' was lost there", object.name)};
    base::log_warning("'{}' was lost on '{}'", object.name, storage_.url());
    if (object.state == ObjectState::released) {
      lose(object, sent);
    } else {
      remote.remove(object.name);
      spool_.queue().set_state(object.number, ObjectState::queued);
    }
  }
  return loss;
}

bool Publisher::is_doubted(Storage& remote, const QueuedObject& manifest) const {
  const std::vector<QueuedObject> sent = spool_.queue().sent_before(manifest.number);
  return std::any_of(sent.begin(), sent.end(), [&](const auto& object) { return sender_.is_doubted(remote, object); });
}

void Publisher::read_back(Storage& remote, const QueuedObject& manifest, const std::stop_token& stop) {
  storage_.expect_mounted(remote);
  for (const QueuedObject& object : spool_.queue().sent_before(manifest.number)) {
    if (!sender_.is_doubted(remote, object)) continue;
    if (stop.stop_requested()) base::fail(Fault::cancelled, "stopped before '{}' was proved", manifest.name);
    if (is_intact(remote, spool_, object)) {
      sender_.note_proved(remote, object);
    } else {
      remote.remove(object.name);  // what is missing is seen under the lock
    }
  }
}

// A pack that is neither here nor there any more. The indexes that name it are replaced in their turn, which comes
// before the manifest's; points that need it are found out when their blocks are looked up.
void Publisher::lose(const QueuedObject& pack, const std::vector<QueuedObject>& sent) {
  spool_.queue().set_state(pack.number, ObjectState::refused, "",
                           "lost on the remote, and no longer in the full staging");
  for (const QueuedObject& object : sent) {
    if (object.kind == ObjectClass::index) spool_.queue().set_state(object.number, ObjectState::queued);
  }
}

// Whether the remote has every index object the point's blocks were found in. While a point waits, a prune of another
// host may replace them.
bool Publisher::is_indexed(const QueuedObject& manifest, const Sizes& there) const {
  const std::set<std::string> relied_on = spool_.queue().relied_on(manifest.name);
  if (relied_on.empty()) return false;  // of an icecore that did not note them, or a point without any block
  return std::all_of(relied_on.begin(), relied_on.end(), [&](const auto& index) { return there.contains(index); });
}

// Takes packs that a prune has marked back into the index, by way of the spool; what names the blocks now may itself
// wait there, so that the point goes behind it and is asked about again. Nothing: it has no block to look up.
std::optional<Publication> Publisher::look_blocks_up(const QueuedObject& manifest, repository::RepositoryLock& lock) {
  const repository::Manifest point = repository::load_manifest(repository_, manifest.name);
  base::log_info(
      "the index changed while a restore point of '{}' waited for its upload; its blocks are looked up again",
      point.domain_name);
  std::set<std::string> relied_on = spool_.queue().relied_on(manifest.name);
  Publication later{Outcome::later, "its blocks are named by another index now, which goes first"};
  try {
    const std::size_t gone = repository::look_blocks_up(repository_, point, [&] { lock.refresh(); });
    if (gone > 0)
      return Publication{Outcome::refused, fmt::format("{} blocks it relies on are gone from the repository", gone)};
    relied_on = names_in(repository_.storage().list("index"));
    if (relied_on.empty()) return std::nullopt;
  } catch (const base::Error& error) {
    if (error.fault() != Fault::corrupt) throw;
    later.reason = error.what();  // a repair may cure it: the others go first
  }
  spool_.queue().put_last(manifest, relied_on);
  upload_step(manifest.kind, "put_last");
  return later;
}

// What the remote may still lose stays with all that came after it: no pack without the index that names it.
void Publisher::settle(const QueuedObject& manifest) {
  std::map<std::string, bool> lives;
  bool may_be_lost = false;
  for (const QueuedObject& object : spool_.queue().sent_before(manifest.number)) {
    const auto [writer, fresh] = lives.try_emplace(object.writer, false);
    if (fresh) writer->second = object.writer != manifest.writer && spool_.writer_lives(object.writer);
    may_be_lost = may_be_lost || Sender::may_be_lost(object);
    if (!writer->second && !may_be_lost) let_go(object);
  }
  const bool keep = spool_.queue().is_kept(manifest.name);
  keep ? spool_.queue().set_state(manifest.number, ObjectState::kept) : spool_.drop_file(manifest);
  spool_.queue().stop_relying(manifest.name);
  drop_refused(manifest);
  upload_step(manifest.kind, "settled");
}

// A newer point makes up for those of its domain that were refused. What else was refused is asked about until every
// index that may name it went up.
void Publisher::drop_refused(const QueuedObject& published) {
  const std::string domain = published.name.substr(0, published.name.rfind('/') + 1);
  const bool all_sent = spool_.queue().queued(1).empty();
  for (const QueuedObject& object : spool_.queue().in_state(ObjectState::refused)) {
    const bool needless = object.kind == ObjectClass::manifest
                              ? object.number < published.number && object.name.starts_with(domain)
                              : all_sent && !spool_.writer_lives(object.writer);
    if (needless) spool_.drop(object);
  }
}

void Publisher::drop_abandoned() {
  for (const QueuedObject& pack : spool_.queue().packs_without_index()) {
    if (!spool_.writer_lives(pack.writer)) spool_.drop(pack);
  }
}

void Publisher::let_go(const QueuedObject& object) {
  if (object.kind == ObjectClass::index) {
    spool_.queue().remember_one("index", {object.name, object.size});
    storage_.cache_index(object.name);
  }
  const bool keep = spool_.queue().is_kept(object.name) && object.state == ObjectState::uploaded;
  keep ? spool_.queue().set_state(object.number, ObjectState::kept, object.epoch) : spool_.drop(object);
}

}  // namespace icecore::staging
