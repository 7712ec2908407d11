// SPDX-License-Identifier: Apache-2.0
// Brings what is queued in a spool to its remote: packs side by side, an index after all packs before it, a manifest
// after everything before it and only when the remote is proved to hold it. What fails is tried again: soon when the
// remote does not answer, later when it is full or refuses, never when the world is not as recorded. It can be
// killed at any step: what is not known to be uploaded is uploaded again.
//
// Threads: made, waited for and finished by one thread; its own ones end with it.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "flow/stage_group.hpp"
#include "staging/publisher.hpp"
#include "staging/sender.hpp"

namespace icecore::staging {

struct UploadOptions {
  // 0: over SFTP two less than storage::sftp_connections(), so that what reads, and the lock, never wait behind packs;
  // else 4.
  unsigned threads = 0;
  UploadLimit limit;
  std::optional<unsigned> keep_local;  // points of each domain that stay in the spool; nothing: leave those that are
  base::Milliseconds stall_max{0};     // without any progress for so long it fails; 0: it waits on
  base::Milliseconds backoff_first = std::chrono::seconds(1);
  base::Milliseconds backoff_max = std::chrono::minutes(1);
  base::Milliseconds refusal_wait = std::chrono::seconds(30);  // when the remote is full or denies
};

struct UploadStatus {
  std::uint64_t bytes_done = 0;   // uploaded by this uploader
  std::uint64_t bytes_total = 0;  // with all that is queued now
  std::string waiting_for;        // why nothing moves; empty when it does
};
// Called from its threads, one at a time; returns at once and does not throw.
using OnUploadStatus = std::function<void(const UploadStatus&)>;

struct RefusedPoint {
  std::string manifest;
  std::string reason;
};

struct UploadReport {
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;
  std::vector<std::string> published;  // manifests
  std::vector<RefusedPoint> refused;
};

class Uploader {
 public:
  // Starts uploading. All outlive it; `repository` is over `storage`. While another process uploads this spool it
  // only watches the queue, and goes on when that one ends.
  Uploader(SpooledStorage& storage, repository::Repository& repository, const UploadOptions& options,
           OnUploadStatus on_status, std::stop_token stop);

  // Returns when this manifest is published. Fault::conflict: it never will be, and why; cancelled; or what ended
  // the uploading for good.
  void wait_for(const std::string& manifest);

  // Waits until nothing is queued and ends. Throws what ended the uploading, Fault::cancelled after a stop.
  UploadReport finish();
  // So far; after a failed finish() too.
  UploadReport report() const;

 private:
  struct State {
    std::optional<base::Fd> lock;
    std::set<std::int64_t> in_flight;
    std::set<std::int64_t> prepared;  // tried once, whatever came of it
    bool draining = false;
    unsigned failures = 0;  // in a row
    std::optional<std::chrono::steady_clock::time_point> not_before;
    base::Stopwatch since_progress;
    std::uint64_t bytes_seen = 0;  // queued, when somebody else uploads
    std::string waiting_for;
    std::optional<base::Error> fatal;
    UploadReport report;
  };
  struct Pick {
    std::optional<QueuedObject> object;
    bool prepare = false;  // it is behind objects under way: what can be done before they are there
    bool ended = false;
    base::Milliseconds wait{0};
  };
  using Taken = std::deque<QueuedObject>;  // in flight by one thread, oldest first
  void work(const std::stop_token& stop);
  Pick choose(State& state, bool packs_only = false);
  static bool choose_to_prepare(const std::vector<QueuedObject>& queued, State& state,
                                std::optional<QueuedObject>& chosen);
  bool may_upload(State& state);
  void watch_other(State& state);
  void end_with(const base::Error& error);
  void connect_ahead();
  void prepare(const QueuedObject& object);
  void attempt(const QueuedObject& object, const std::stop_token& stop);
  void send_packs(storage::Storage& remote, Taken& taken, const std::stop_token& stop);
  std::optional<QueuedObject> choose_pack(const std::stop_token& stop, unsigned taken);
  void upload(storage::Storage& remote, const QueuedObject& object, const std::stop_token& stop);
  void publish(storage::Storage& remote, const QueuedObject& manifest, const std::stop_token& stop);
  std::shared_ptr<storage::Storage> connect();
  void keep_points(const QueuedObject& manifest);
  void settle_leftovers();
  bool is_too_full() const;
  void make_room(storage::Storage& remote);
  void make_room_while_idle();
  void succeeded(const QueuedObject& object);
  void failed(const Taken& undone, const base::Error& error);
  void refuse(const QueuedObject& manifest, const std::string& reason);
  base::Milliseconds pause_after(const base::Error& error, State& state) const;
  void tell();

  SpooledStorage& storage_;
  Spool& spool_;
  repository::Repository& repository_;
  UploadOptions options_;
  OnUploadStatus on_status_;
  std::stop_token stop_;
  unsigned turn_max_;
  Sender sender_;
  Publisher publisher_;
  base::Guarded<State> state_;
  std::atomic<unsigned> connected_ahead_ = 0;
  base::Guarded<int> telling_{0};
  base::Guarded<int> making_room_{0};
  flow::StageGroup threads_;
};

// Whether a manifest waits in the spool for its upload.
inline bool is_pending(Spool& spool, const std::string& manifest) {
  const auto object = spool.queue().find(manifest);
  return object && object->state == ObjectState::queued;
}

}  // namespace icecore::staging
