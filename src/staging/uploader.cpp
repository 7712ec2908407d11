// SPDX-License-Identifier: Apache-2.0
#include "staging/uploader.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "base/failpoint.hpp"
#include "base/id.hpp"
#include "base/log.hpp"
#include "repository/manifest.hpp"
#include "repository/repository_lock.hpp"
#include "staging/kept_points.hpp"
#include "staging/proof.hpp"

namespace icecore::staging {

using base::Fault;
using storage::Storage;

namespace {

constexpr base::Milliseconds k_poll{200};  // for what other processes do
// More than threads, so that each finds something; few, so that a week's queue costs no more than a day's.
constexpr unsigned k_window = 64;

// Failpoints are named after the step: "upload.pack.sending", "upload.manifest.sent", ...
void step(ObjectClass kind, const char* name) {
  static constexpr std::array k_kinds = {"pack", "index", "manifest"};
  base::failpoint(std::string("upload.") + k_kinds[static_cast<std::size_t>(kind)] + "." + name);
}

bool is_permanent(Fault fault) {
  return fault != Fault::unavailable && fault != Fault::busy && fault != Fault::no_space && fault != Fault::denied &&
         fault != Fault::cancelled;
}

// 0.75 to 1.25 of it: many hosts that lost one server must not come back in step.
base::Milliseconds jittered(base::Milliseconds time) {
  const auto quarter = static_cast<std::int64_t>(std::stoul(base::random_id(2), nullptr, 16) % 51);
  return time * (75 + quarter) / 100;
}

}  // namespace

bool is_pending(Spool& spool, const std::string& manifest) {
  const auto object = spool.queue().find(manifest);
  return object && object->state == ObjectState::queued;
}

Uploader::Uploader(SpooledStorage& storage, repository::Repository& repository, const UploadOptions& options,
                   OnUploadStatus on_status, std::stop_token stop)
    : storage_(storage),
      spool_(storage.spool()),
      repository_(repository),
      options_(options),
      on_status_(std::move(on_status)),
      stop_(stop),
      session_(base::random_id(4)),
      limiter_(options.limit),
      threads_(std::move(stop)) {
  threads_.run("upload", options_.threads, [this](const std::stop_token& inner) { work(inner); });
}

void Uploader::wait_for(const std::string& manifest) {
  while (true) {
    const auto object = spool_.queue().find(manifest);
    if (!object) base::fail(Fault::internal, "'{}' was never queued", manifest);
    if (object->state == ObjectState::published || object->state == ObjectState::kept) return;
    if (object->state == ObjectState::refused) base::fail(Fault::conflict, "{}", object->note);
    if (const auto fatal = state_.with([](const State& state) { return state.fatal; })) throw *fatal;
    if (stop_.stop_requested()) base::fail(Fault::cancelled, "stopped before the upload was over");
    spool_.wait(k_poll, stop_);
  }
}

UploadReport Uploader::finish() {
  state_.with([](State& state) { state.draining = true; });
  spool_.notify();
  threads_.join();
  return state_.with([](const State& state) { return state.report; });
}

void Uploader::work(const std::stop_token& stop) {
  try {
    while (!stop.stop_requested()) {
      const Pick pick = state_.with([&](State& state) { return choose(state); });
      if (pick.ended) return;
      pick.object ? attempt(*pick.object, stop) : spool_.wait(pick.wait, stop);
    }
  } catch (const base::Error& error) {
    end_with(error);
    throw;
  } catch (const std::exception& error) {
    end_with(base::Error(Fault::internal, error.what()));
    throw;
  }
}

// For who waits for a manifest: nothing more will come.
void Uploader::end_with(const base::Error& error) {
  state_.with([&](State& state) {
    if (!state.fatal) state.fatal = error;
  });
  spool_.notify();
}

// Another repository below the URL ends the uploading; only what is wrong with a point itself costs that point.
void Uploader::attempt(const QueuedObject& object, const std::stop_token& stop) {
  bool connected = false;
  try {
    const std::shared_ptr<Storage> remote = connect();
    connected = true;
    upload(*remote, object, stop);
    succeeded(object);
  } catch (const base::Error& error) {
    failed(object, error, connected);
  }
}

// The oldest object that may go now. A row stays queued while it is under way, so what waits for it waits on.
Uploader::Pick Uploader::choose(State& state) {
  Pick pick{.wait = k_poll};
  if (!state.lock && (state.lock = spool_.try_upload_lock())) settle_leftovers();
  const std::vector<QueuedObject> queued = spool_.queue().queued(k_window);
  pick.ended = queued.empty() && state.draining;
  if (queued.empty() || !state.lock) return pick;
  if (const auto now = std::chrono::steady_clock::now(); state.not_before && now < *state.not_before) {
    pick.wait = std::chrono::ceil<base::Milliseconds>(*state.not_before - now);
    return pick;
  }
  bool pack_before = false;
  for (const QueuedObject& object : queued) {
    const bool may_go = object.kind == ObjectClass::pack || (object.kind == ObjectClass::index && !pack_before) ||
                        object.number == queued.front().number;
    pack_before = pack_before || object.kind == ObjectClass::pack;
    if (!may_go || !state.in_flight.insert(object.number).second) continue;
    pick.object = object;
    return pick;
  }
  return pick;
}

void Uploader::upload(Storage& remote, const QueuedObject& object, const std::stop_token& stop) {
  if (object.kind == ObjectClass::manifest) return publish(remote, object, stop);
  send(remote, object, stop);
  make_room(remote);
}

std::shared_ptr<Storage> Uploader::connect() {
  std::shared_ptr<Storage> remote = storage_.remote().open();
  storage_.check_remote();
  storage_.remote().note_reached();
  return remote;
}

// Objects of one epoch were uploaded without any connection lost since.
std::string Uploader::epoch_of(const Storage& remote) const {
  return fmt::format("{}-{}-{}", session_, remote.generation(), losses_.with([](std::uint64_t n) { return n; }));
}

void Uploader::send(Storage& remote, const QueuedObject& object, const std::stop_token& stop) {
  const base::Bytes bytes = spool_.objects().get(object.name, object.size);
  limiter_.pay(bytes.size(), stop);
  if (stop.stop_requested()) base::fail(Fault::cancelled, "stopped before '{}' was uploaded", object.name);
  const std::string epoch = epoch_of(remote);
  step(object.kind, "sending");
  try {
    remote.put(object.name, bytes);
  } catch (const base::Error& error) {
    // Packs are named by their content and indexes at random: one of another size is what a power loss left.
    if (error.fault() != Fault::conflict || object.kind == ObjectClass::manifest) throw;
    base::log_warning("'{}' is damaged on '{}' and is uploaded again", object.name, storage_.url());
    remote.remove(object.name);
    remote.put(object.name, bytes);
  }
  step(object.kind, "sent");
  const bool is_manifest = object.kind == ObjectClass::manifest;
  spool_.queue().set_state(object.number, is_manifest ? ObjectState::published : ObjectState::uploaded, epoch);
  step(object.kind, "noted");
}

// The repository's lock is held from the last look at the blocks to the manifest: no prune takes them in between.
void Uploader::publish(Storage& remote, const QueuedObject& manifest, const std::stop_token& stop) {
  prove(remote, manifest, stop);
  step(manifest.kind, "proved");
  {
    const repository::RepositoryLock lock(repository_, repository::LockMode::shared, "upload of a restore point");
    prove_point(manifest);
    send(remote, manifest, stop);
  }
  if (options_.keep_local) keep_newest(storage_, repository_, manifest.name, *options_.keep_local);
  step(manifest.kind, "kept");
  settle(manifest);
}

void Uploader::prove(Storage& remote, const QueuedObject& manifest, const std::stop_token& stop) {
  const std::vector<QueuedObject> sent = spool_.queue().sent_before(manifest.number);
  const auto sizes = sizes_on(remote, sent);
  for (std::size_t i = 0; i < sent.size(); ++i) {
    const QueuedObject& object = sent[i];
    const std::string epoch = epoch_of(remote);
    const bool doubted = !remote.durable_puts() || object.epoch != epoch;
    if (sizes[i] != object.size || (doubted && !is_intact(remote, spool_, object))) {
      send_again(remote, object, stop);
    } else if (doubted) {
      spool_.queue().set_state(object.number, object.state, epoch);  // not to be read a third time
    }
  }
}

void Uploader::send_again(Storage& remote, const QueuedObject& object, const std::stop_token& stop) {
  if (object.state == ObjectState::released)
    base::fail(Fault::conflict, "the remote lost '{}', which is no longer in the full staging", object.name);
  base::log_warning("'{}' was lost on '{}' and is uploaded again", object.name, storage_.url());
  remote.remove(object.name);
  send(remote, object, stop);
}

// It still opens with this repository's key. Its blocks were proved to be in the index when it entered the spool, not
// again now: a prune on another host, longer after that than its grace period, goes unnoticed until a verify.
void Uploader::prove_point(const QueuedObject& manifest) {
  static_cast<void>(repository::load_manifest(repository_, manifest.name));
}

// What came before a published manifest has been proved with it and may go, but for what living writers still need
// for theirs.
void Uploader::settle(const QueuedObject& manifest) {
  std::map<std::string, bool> lives;
  for (const QueuedObject& object : spool_.queue().sent_before(manifest.number)) {
    const auto [writer, fresh] = lives.try_emplace(object.writer, false);
    if (fresh) writer->second = object.writer != manifest.writer && spool_.writer_lives(object.writer);
    if (writer->second) continue;
    if (object.kind == ObjectClass::index) spool_.queue().remember_one("index", {object.name, object.size});
    const bool keep = spool_.queue().is_kept(object.name) && object.state == ObjectState::uploaded;
    if (keep) {
      spool_.queue().set_state(object.number, ObjectState::kept, object.epoch);
    } else {
      spool_.drop(object);
    }
  }
  if (spool_.queue().is_kept(manifest.name)) {
    spool_.queue().set_state(manifest.number, ObjectState::kept);
  } else {
    spool_.drop_file(manifest);
  }
  step(manifest.kind, "settled");
}

// What an uploader that died has published and not yet let go.
void Uploader::settle_leftovers() {
  const auto last = spool_.queue().last_settled_manifest();
  if (last && last->state == ObjectState::published) settle(*last);
}

// In a spool more than half full the oldest packs give way as soon as the remote has them for sure: then a point
// larger than the spool goes through it.
void Uploader::make_room(Storage& remote) {
  if (spool_.queue().bytes_in_transit() <= spool_.bytes_max() / 2) return;
  making_room_.with([&](int&) {
    for (const QueuedObject& object : spool_.queue().in_state(ObjectState::uploaded)) {
      if (spool_.queue().bytes_in_transit() <= spool_.bytes_max() / 2) return;
      if (object.kind != ObjectClass::pack || remote.size_of(object.name) != object.size) continue;
      if (!remote.durable_puts() && !is_intact(remote, spool_, object)) continue;
      spool_.queue().set_state(object.number, ObjectState::released, object.epoch);
      spool_.drop_file(object);
    }
  });
}

void Uploader::succeeded(const QueuedObject& object) {
  storage_.remote().note_reached();
  state_.with([&](State& state) {
    state.in_flight.erase(object.number);
    state.failures = 0;
    state.not_before.reset();
    state.waiting_for.clear();
    state.since_progress = {};
    state.report.objects += 1;
    state.report.bytes += object.size;
    if (object.kind == ObjectClass::manifest) state.report.published.push_back(object.name);
  });
  spool_.notify();
  tell();
}

void Uploader::failed(const QueuedObject& object, const base::Error& error, bool connected) {
  storage_.remote().note(error);
  if (error.fault() == Fault::unavailable) {
    storage_.doubt_remote();
    losses_.with([](std::uint64_t& losses) { ++losses; });
  }
  const bool refused = connected && object.kind == ObjectClass::manifest &&
                       (error.fault() == Fault::conflict || error.fault() == Fault::corrupt);
  if (refused) refuse(object, error);
  const bool stalled = state_.with([&](State& state) {
    state.in_flight.erase(object.number);
    if (refused) return false;
    const bool over = options_.stall_max.count() > 0 && state.since_progress.elapsed() > options_.stall_max;
    if (error.fault() != Fault::cancelled) state.waiting_for = error.what();
    state.not_before = std::chrono::steady_clock::now() + pause_after(error, state.failures++);
    if (over || is_permanent(error.fault())) state.fatal = error;
    return state.fatal.has_value();
  });
  spool_.notify();
  tell();
  if (stalled) throw base::Error(error);
}

void Uploader::refuse(const QueuedObject& manifest, const base::Error& error) {
  base::log_warning("restore point '{}' cannot be published: {}", manifest.name, error.what());
  spool_.queue().set_state(manifest.number, ObjectState::refused, "", error.what());
  spool_.drop_file(manifest);
  state_.with([&](State& state) { state.report.refused.push_back({manifest.name, error.what()}); });
}

base::Milliseconds Uploader::pause_after(const base::Error& error, unsigned failures) const {
  if (error.fault() == Fault::no_space || error.fault() == Fault::denied) return jittered(options_.refusal_wait);
  const base::Milliseconds doubled = options_.backoff_first * (1U << std::min(failures, 16U));
  return jittered(std::min(doubled, options_.backoff_max));
}

void Uploader::tell() {
  if (!on_status_) return;
  telling_.with([&](int&) {
    UploadStatus status = state_.with([](const State& state) {
      return UploadStatus{.bytes_done = state.report.bytes, .waiting_for = state.waiting_for};
    });
    status.bytes_total = status.bytes_done + spool_.queue().bytes_queued();
    on_status_(status);
  });
}

}  // namespace icecore::staging
