// SPDX-License-Identifier: Apache-2.0
// The last step of an upload: a point's manifest, sent only while the remote is proved to hold everything the point
// needs, and what it makes needless in the spool let go.
//
// Threads: one manifest at a time, but prepare() goes beside the sending of what comes before it; keep_newest_points()
// and settle() belong to the same thread.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "repository/manifest.hpp"
#include "staging/proof.hpp"
#include "staging/remote_lock.hpp"
#include "staging/sender.hpp"

namespace icecore::staging {

struct Publication {
  enum class Outcome {
    published,
    later,    // something before it is sent again first
    refused,  // never: what it needs is gone here and there
  };
  Outcome outcome = Outcome::published;
  std::string reason;  // but for published
};

class Publisher {
 public:
  // All outlive it; `repository` is over `storage`.
  Publisher(SpooledStorage& storage, repository::Repository& repository, Sender& sender);

  // Takes the lock that the next publish() needs, so that it need not wait for it then. Throws what the remote says;
  // publish() does without.
  void prepare(storage::Storage& remote);

  // Everything queued before `manifest` was sent. Throws what the remote says; then nothing is lost, and it is tried
  // again.
  Publication publish(storage::Storage& remote, const QueuedObject& manifest, const std::stop_token& stop);

  // What came before a published or refused manifest has been looked after with it and may go, but for what living
  // writers still need for theirs, what is kept for restores, and what the remote may still lose.
  void settle(const QueuedObject& manifest);
  // Packs of backups that were given up: their writers are gone, and no index will ever name them.
  void drop_abandoned();

 private:
  RemoteLock take_lock(storage::Storage& remote);
  RemoteLock prepared_lock();
  Publication publish_locked(storage::Storage& remote, const QueuedObject& manifest, repository::RepositoryLock& lock,
                             const std::stop_token& stop);
  void complete_group(storage::Storage& remote, const QueuedObject& manifest);
  bool is_locked(storage::Storage& remote, const repository::RepositoryLock& lock) const;
  Sizes look(storage::Storage& remote, const QueuedObject& manifest, const std::vector<QueuedObject>& sent,
             repository::RepositoryLock& lock) const;
  std::optional<Publication> find_loss(storage::Storage& remote, const std::vector<QueuedObject>& sent,
                                       const Sizes& there);
  bool is_doubted(storage::Storage& remote, const QueuedObject& manifest) const;
  void read_back(storage::Storage& remote, const QueuedObject& manifest, const std::stop_token& stop);
  void lose(const QueuedObject& pack, const std::vector<QueuedObject>& sent);
  bool is_indexed(const QueuedObject& manifest, const Sizes& there) const;
  std::optional<Publication> look_blocks_up(const QueuedObject& manifest, repository::RepositoryLock& lock);
  void drop_refused(const QueuedObject& published);
  void let_go(const QueuedObject& object);

  SpooledStorage& storage_;
  Spool& spool_;
  repository::Repository& repository_;
  Sender& sender_;
  base::Guarded<RemoteLock> prepared_;
};

}  // namespace icecore::staging
