// SPDX-License-Identifier: Apache-2.0
// Brings single objects of a spool to its remote, and knows which of them the remote has for sure.
//
// Threads: all methods may be called from several at once.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/clock.hpp"
#include "base/guarded.hpp"
#include "repository/repository.hpp"
#include "staging/rate_limit.hpp"
#include "staging/remote_lock.hpp"
#include "staging/spooled_storage.hpp"

namespace icecore::staging {

class Sender {
 public:
  // Both outlive it; `repository` is over `storage`.
  Sender(SpooledStorage& storage, repository::Repository& repository, const UploadLimit& limit);

  // Stores it on the remote and, but for a manifest, notes that. A pack or an index whose bytes have rotted in the
  // spool is not sent but refused. An index that names such a pack, or one that was taken back from a prune and swept
  // since, is replaced by one without it: points that need it are found out when their blocks are looked up. One that
  // rots while it is sent is Fault::busy, and refused the next time. Packs and indexes are paid for from the limit.
  // Fault::cancelled after a stop.
  void send(storage::Storage& remote, const QueuedObject& object, const std::stop_token& stop);
  // Sends the bytes of an index or a manifest before its turn, so that send() need only name it. send() does without.
  void prepare(storage::Storage& remote, const QueuedObject& object);
  // Stores and notes packs as send() does, without a pause between them (Storage::put_files), until next() gives none;
  // sent() is called after each. A rotten pack is not sent, ends it, and is left to send(). Not where is_limited():
  // nobody waits for the limit while bytes are under way. Throws at the first that cannot be stored.
  using NextPack = std::function<std::optional<QueuedObject>()>;
  using PackSent = std::function<void(const QueuedObject&)>;
  void send_packs(storage::Storage& remote, const NextPack& next, const PackSent& sent);
  bool is_limited() const noexcept { return limiter_.is_limited(); }
  // It was sent, and its blocks were looked for after that.
  void note_published(const storage::Storage& remote, const QueuedObject& manifest);

  // Whether a sent object's bytes are to be read back before a point relies on them: the remote may have died, and
  // lost what it said was durable, less than a minute after it was sent; one that cannot fsync at any time.
  bool is_doubted(const storage::Storage& remote, const QueuedObject& object) const;
  // They were read back.
  void note_proved(const storage::Storage& remote, const QueuedObject& object);
  // Whether bytes that were read back may still have come from the memory of a server that cannot fsync: so until
  // another uploader than the one that sent them has read them back.
  static bool may_be_lost(const QueuedObject& object);
  // A connection was lost.
  void note_loss();

 private:
  struct Sent {
    std::int64_t number;
    base::Stopwatch since;
  };
  using Prepared = std::unique_ptr<storage::PreparedFile>;
  Prepared take_prepared(const QueuedObject& object);
  void put(storage::Storage& remote, const QueuedObject& object, Prepared prepared);
  void note_sent(const storage::Storage& remote, const QueuedObject& object, const std::string& epoch);
  void set_aside(storage::Storage& remote, const QueuedObject& object);
  std::vector<repository::PackEntry> packs_of(const QueuedObject& index, base::ByteView bytes) const;
  RemoteLock lock_for(storage::Storage& remote, const std::vector<repository::PackEntry>& packs);
  bool was_replaced(storage::Storage& remote, const QueuedObject& index, std::vector<repository::PackEntry> packs);
  void remember_recent(std::int64_t number);
  std::string epoch_of(const storage::Storage& remote) const;

  SpooledStorage& storage_;
  Spool& spool_;
  repository::Repository& repository_;
  std::string session_;
  RateLimiter limiter_;
  base::Guarded<std::uint64_t> losses_{0U};
  base::Guarded<std::deque<Sent>> recent_;                   // oldest first
  base::Guarded<std::map<std::string, Prepared>> prepared_;  // by name: a manifest's number changes
};

// Failpoints are named after the step: "upload.pack.sending", "upload.manifest.sent", ...
void upload_step(ObjectClass kind, const char* name);

}  // namespace icecore::staging
