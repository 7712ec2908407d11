// SPDX-License-Identifier: Apache-2.0
#include "staging/uploader.hpp"

#include <algorithm>

#include "base/id.hpp"
#include "base/log.hpp"
#include "staging/kept_points.hpp"
#include "staging/proof.hpp"
#include "storage/sftp_url.hpp"

namespace icecore::staging {

using base::Fault;
using storage::Storage;

namespace {

constexpr base::Milliseconds k_poll{200};  // for what other processes do
// More than threads, so that each finds something; few, so that a week's queue costs no more than a day's.
constexpr unsigned k_window = 64;
// Packs that a thread sends in one turn, over one connection; the pause behind it is nothing beside them. Fewer in a
// spool that is too full: room is made between turns. One where the connection is the only one: others wait for it.
constexpr unsigned k_turn = 16;
constexpr unsigned k_turn_in_full_spool = 4;
// A login takes some ten round trips: the first packs find connections that were made while they were read.
constexpr unsigned k_connected_ahead = 4;

bool is_permanent(Fault fault) {
  // not_found: a disk that was unmounted; the next look at the repository says so.
  return storage::remedy_of(fault) == storage::Remedy::none && fault != Fault::not_found;
}

// 0.75 to 1.25 of it: many hosts that lost one server must not come back in step.
base::Milliseconds jittered(base::Milliseconds time) {
  const auto quarter = static_cast<std::int64_t>(std::stoul(base::random_id(2), nullptr, 16) % 51);
  return time * (75 + quarter) / 100;
}

unsigned threads_wanted(const UploadOptions& options, const std::string& url) {
  constexpr unsigned k_threads = 4;
  constexpr unsigned k_for_others = 2;
  if (options.threads != 0) return options.threads;
  if (!storage::is_sftp_url(url)) return k_threads;
  return std::max(storage::sftp_connections(), k_for_others + 1) - k_for_others;
}

unsigned turn_wanted(const std::string& url) {
  return storage::is_sftp_url(url) && storage::sftp_connections() == 1 ? 1 : k_turn;
}

}  // namespace

Uploader::Uploader(SpooledStorage& storage, repository::Repository& repository, const UploadOptions& options,
                   OnUploadStatus on_status, std::stop_token stop)
    : storage_(storage),
      spool_(storage.spool()),
      repository_(repository),
      options_(options),
      on_status_(std::move(on_status)),
      stop_(stop),
      turn_max_(turn_wanted(storage.url())),
      sender_(storage, repository, options.limit),
      publisher_(storage, repository, sender_),
      threads_(std::move(stop)) {
  storage_.claim_spool();
  state_.with([&](State& state) { may_upload(state); });  // now: who waits for room looks for one at work
  threads_.run("upload", threads_wanted(options_, storage_.url()),
               [this](const std::stop_token& inner) { work(inner); });
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
  return report();
}

UploadReport Uploader::report() const {
  return state_.with([](const State& state) { return state.report; });
}

void Uploader::work(const std::stop_token& stop) {
  try {
    connect_ahead();
    while (!stop.stop_requested()) {
      const Pick pick = state_.with([&](State& state) { return choose(state); });
      if (pick.ended) return;
      if (pick.prepare) {
        prepare(*pick.object);
      } else if (pick.object) {
        attempt(*pick.object, stop);
      } else {
        make_room_while_idle();
        spool_.wait(pick.wait, stop);
      }
    }
  } catch (const base::Error& error) {
    end_with(error);
    throw;
  } catch (const std::exception& error) {
    end_with(base::Error(Fault::internal, error.what()));
    throw;
  }
}

// For who waits for a manifest, or for room: nothing more will come.
void Uploader::end_with(const base::Error& error) {
  state_.with([&](State& state) {
    if (!state.fatal) state.fatal = error;
    state.lock.reset();
  });
  spool_.notify();
}

void Uploader::connect_ahead() {
  if (connected_ahead_++ >= k_connected_ahead || !storage_.trouble().empty()) return;
  try {
    storage_.remote().open()->connect_ahead();
  } catch (const base::Error& error) {
    base::log_info("no connection was made ahead: {}", error.what());  // who needs one sees for themselves
  }
}

void Uploader::prepare(const QueuedObject& object) {
  try {
    const std::shared_ptr<Storage> remote = connect();
    if (object.kind == ObjectClass::manifest) publisher_.prepare(*remote);
    sender_.prepare(*remote, object);
  } catch (const base::Error& error) {
    base::log_info("'{}' was not prepared: {}", object.name, error.what());
  }
  state_.with([&](State& state) { state.in_flight.erase(object.number); });
  spool_.notify();
}

// Another repository below the URL, or a damaged one, ends the uploading; every point is left to the next.
void Uploader::attempt(const QueuedObject& object, const std::stop_token& stop) {
  Taken taken = {object};
  try {
    const std::shared_ptr<Storage> remote = connect();
    if (object.kind == ObjectClass::pack && !sender_.is_limited()) send_packs(*remote, taken, stop);
    for (; !taken.empty(); taken.pop_front()) upload(*remote, taken.front(), stop);
  } catch (const base::Error& error) {
    failed(taken, error);
  }
}

// It, and others that nobody has taken. Those that stay in `taken` are rotten, or damaged on the remote, or behind one
// that is: to be looked at one by one.
void Uploader::send_packs(Storage& remote, Taken& taken, const std::stop_token& stop) {
  unsigned count = 0;
  const auto next = [&]() -> std::optional<QueuedObject> {
    if (count > 0) {
      const std::optional<QueuedObject> pack = choose_pack(stop, count);
      if (!pack) return std::nullopt;
      taken.push_back(*pack);
    }
    ++count;
    return taken.back();
  };
  const auto sent = [&](const QueuedObject& pack) {
    succeeded(pack);
    taken.pop_front();
  };
  try {
    sender_.send_packs(remote, next, sent);
  } catch (const base::Error& error) {
    if (error.fault() != Fault::conflict && error.fault() != Fault::corrupt) throw;
  }
  make_room(remote);
}

std::optional<QueuedObject> Uploader::choose_pack(const std::stop_token& stop, unsigned taken) {
  if (stop.stop_requested() || taken >= turn_max_ || (taken >= k_turn_in_full_spool && is_too_full()))
    return std::nullopt;
  return state_.with(
      [&](State& state) { return state.fatal ? std::nullopt : choose(state, /*packs_only=*/true).object; });
}

bool Uploader::may_upload(State& state) {
  if (state.fatal) return false;
  if (!state.lock && (state.lock = spool_.try_upload_lock())) settle_leftovers();
  return state.lock.has_value();
}

// Another process's progress counts as ours would.
void Uploader::watch_other(State& state) {
  const std::uint64_t queued = spool_.queue().bytes_queued();
  if (std::exchange(state.bytes_seen, queued) != queued) state.since_progress = {};
  if (options_.stall_max.count() > 0 && state.since_progress.elapsed() > options_.stall_max)
    base::fail(Fault::unavailable, "another icecore uploads what waits in '{}', and gets nowhere",
               spool_.folder().string());
}

// The oldest object that may go now. A row stays queued while it is under way, so what waits for it waits on.
Uploader::Pick Uploader::choose(State& state, bool packs_only) {
  Pick pick{.wait = k_poll};
  const bool ours = may_upload(state);
  const std::vector<QueuedObject> queued = spool_.queue().queued(k_window);
  pick.ended = (queued.empty() && state.draining) || state.fatal;
  if (!queued.empty() && !ours) watch_other(state);
  if (queued.empty() || !ours) return pick;
  if (const auto now = std::chrono::steady_clock::now(); state.not_before && now < *state.not_before) {
    pick.wait = std::chrono::ceil<base::Milliseconds>(*state.not_before - now);
    return pick;
  }
  bool pack_before = false;
  for (const QueuedObject& object : queued) {
    const bool may_go = object.kind == ObjectClass::pack || (object.kind == ObjectClass::index && !pack_before) ||
                        object.number == queued.front().number;
    pack_before = pack_before || object.kind == ObjectClass::pack;
    if (!may_go || state.in_flight.contains(object.number)) continue;
    if (packs_only && object.kind != ObjectClass::pack) return pick;
    state.in_flight.insert(object.number);
    pick.object = object;
    return pick;
  }
  pick.prepare = !packs_only && choose_to_prepare(queued, state, pick.object);
  return pick;
}

// The next index or the next manifest, with all before it under way.
bool Uploader::choose_to_prepare(const std::vector<QueuedObject>& queued, State& state,
                                 std::optional<QueuedObject>& chosen) {
  for (const ObjectClass kind : {ObjectClass::index, ObjectClass::manifest}) {
    const auto is_kind = [&](const QueuedObject& object) { return object.kind == kind; };
    const auto next = std::find_if(queued.begin(), queued.end(), is_kind);
    if (next == queued.end() || state.in_flight.contains(next->number) || !state.prepared.insert(next->number).second)
      continue;
    state.in_flight.insert(next->number);
    chosen = *next;
    return true;
  }
  return false;
}

std::shared_ptr<Storage> Uploader::connect() {
  std::shared_ptr<Storage> remote = storage_.remote().open();
  storage_.check_remote();
  storage_.remote().note_reached();
  return remote;
}

void Uploader::upload(Storage& remote, const QueuedObject& object, const std::stop_token& stop) {
  if (object.kind == ObjectClass::manifest) return publish(remote, object, stop);
  sender_.send(remote, object, stop);
  make_room(remote);
  succeeded(object);
}

void Uploader::publish(Storage& remote, const QueuedObject& manifest, const std::stop_token& stop) {
  const Publication publication = publisher_.publish(remote, manifest, stop);
  switch (publication.outcome) {
    case Publication::Outcome::later: return failed({manifest}, base::Error(Fault::busy, publication.reason));
    case Publication::Outcome::refused: return refuse(manifest, publication.reason);
    case Publication::Outcome::published: break;
  }
  if (options_.keep_local) keep_points(manifest);
  upload_step(manifest.kind, "kept");
  publisher_.settle(manifest);
  succeeded(manifest);
}

// The point is published whatever comes of this; what could not be kept now is fetched back after the next one.
void Uploader::keep_points(const QueuedObject& manifest) {
  try {
    keep_newest(storage_, repository_, manifest.name, *options_.keep_local);
  } catch (const base::Error& error) {
    base::log_warning("not all of the newest points could be kept in '{}': {}", spool_.folder().string(), error.what());
  }
}

// What an uploader that died has published and not yet let go, and what a writer that died left.
void Uploader::settle_leftovers() {
  publisher_.drop_abandoned();
  const auto last = spool_.queue().last_settled_manifest();
  if (last && last->state == ObjectState::published) publisher_.settle(*last);
}

// More than half full, or without the room for what comes next.
bool Uploader::is_too_full() const {
  const std::uint64_t all = spool_.bytes_max();
  const std::uint64_t next = std::uint64_t{2} * repository_.config().pack_bytes;
  return spool_.queue().bytes_in_transit() > std::min(all / 2, all - std::min(all, next));
}

// In a spool that is too full the oldest packs give way as soon as the remote has them for sure: then a point larger
// than the spool goes through it.
void Uploader::make_room(Storage& remote) {
  if (!is_too_full()) return;
  making_room_.with([&](int&) {
    for (const QueuedObject& object : spool_.queue().in_state(ObjectState::uploaded)) {
      if (!is_too_full()) return;
      if (object.kind != ObjectClass::pack || remote.size_of(object.name) != object.size) continue;
      if (!remote.durable_puts() && !is_intact(remote, spool_, object)) continue;
      spool_.queue().set_state(object.number, ObjectState::released, object.epoch);
      spool_.drop_file(object);
    }
  });
}

// With nothing left to send a spool may still be too full, for example since its limit was lowered.
void Uploader::make_room_while_idle() {
  const bool ours = state_.with([](const State& state) { return state.lock.has_value() && !state.not_before; });
  if (!ours || !is_too_full()) return;
  if (!spool_.queue().queued(1).empty() || spool_.queue().in_state(ObjectState::uploaded).empty()) return;
  try {
    make_room(*connect());
  } catch (const base::Error& error) {
    failed({}, error);
  }
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

void Uploader::failed(const Taken& undone, const base::Error& error) {
  storage_.remote().note(error);
  if (error.fault() == Fault::unavailable || error.fault() == Fault::not_found) {
    storage_.doubt_remote();
    sender_.note_loss();
  }
  const bool over = state_.with([&](State& state) {
    for (const QueuedObject& object : undone) state.in_flight.erase(object.number);
    if (error.fault() == Fault::cancelled) return false;
    state.waiting_for = error.what();
    state.not_before = std::chrono::steady_clock::now() + pause_after(error, state);
    return is_permanent(error.fault()) ||
           (options_.stall_max.count() > 0 && state.since_progress.elapsed() > options_.stall_max);
  });
  spool_.notify();
  tell();
  if (over) throw base::Error(error);
}

// Its manifest stays in the spool, for who wants to know what was lost.
void Uploader::refuse(const QueuedObject& manifest, const std::string& reason) {
  base::log_warning("restore point '{}' cannot be published: {}", manifest.name, reason);
  spool_.queue().set_state(manifest.number, ObjectState::refused, "", reason);
  spool_.queue().stop_relying(manifest.name);
  state_.with([&](State& state) {
    state.in_flight.erase(manifest.number);
    state.report.refused.push_back({manifest.name, reason});
  });
  spool_.notify();
  tell();
}

// The last attempt is made when the patience ends, not a pause later.
base::Milliseconds Uploader::pause_after(const base::Error& error, State& state) const {
  const base::Milliseconds doubled = options_.backoff_first * (1U << std::min(state.failures++, 16U));
  const bool is_refusal = storage::remedy_of(error.fault()) == storage::Remedy::wait;
  const base::Milliseconds pause =
      jittered(is_refusal ? options_.refusal_wait : std::min(doubled, options_.backoff_max));
  if (options_.stall_max.count() == 0) return pause;
  const base::Milliseconds left = options_.stall_max - state.since_progress.elapsed() + base::Milliseconds(1);
  return std::min(pause, std::max(left, base::Milliseconds(0)));
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
