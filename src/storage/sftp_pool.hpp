// SPDX-License-Identifier: Apache-2.0
// The connections to one server: made when they are needed, lent to one caller at a time, thrown away when they break,
// and with one that breaks all that wait for their next use: what took the one has most likely taken them too.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "storage/sftp_channel.hpp"
#include "storage/ssh_session.hpp"

namespace icecore::storage {

class SftpPool {
 public:
  SftpPool(SshTarget target, const SshDeadlines& deadlines, unsigned connections_max)
      : target_(std::move(target)), deadlines_(deadlines), connections_max_(connections_max) {}

  // One connection for one operation. It goes back for others to use when all it was asked is answered, and ends
  // otherwise. The pool outlives it.
  class Lease {
   public:
    Lease(Lease&& other) noexcept = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    SftpChannel& operator*() const noexcept { return *channel_; }
    SftpChannel* operator->() const noexcept { return channel_.get(); }

   private:
    friend class SftpPool;
    Lease(SftpPool& pool, std::unique_ptr<SftpChannel> channel) : pool_(&pool), channel_(std::move(channel)) {}
    SftpPool* pool_;
    std::unique_ptr<SftpChannel> channel_;
  };

  // Takes the one used last, connects when all are lent and more are allowed, or else waits. Throws as SftpChannel.
  Lease take();

  // The same for one that may be kept for long: nothing when it would leave none to others.
  std::optional<Lease> take_spare();

  // Makes one connection more for the next to take, unless as many as are allowed are there. Throws as SftpChannel.
  void connect_ahead();

  // Connections that broke so far.
  std::uint64_t losses() const noexcept { return losses_; }
  // Whether the server connected to last has fsync.
  bool has_sync() const noexcept { return has_sync_; }

 private:
  Lease lend(std::unique_lock<std::mutex> lock);
  std::unique_ptr<SftpChannel> connect();
  void give_back(std::unique_ptr<SftpChannel> channel) noexcept;

  const SshTarget target_;
  const SshDeadlines deadlines_;
  const unsigned connections_max_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<SftpChannel>> idle_;  // guarded by mutex_
  unsigned lent_ = 0;                               // guarded by mutex_
  std::atomic<std::uint64_t> losses_ = 0;
  std::atomic<bool> has_sync_ = false;
};

}  // namespace icecore::storage
