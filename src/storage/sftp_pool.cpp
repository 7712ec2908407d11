// SPDX-License-Identifier: Apache-2.0
#include "storage/sftp_pool.hpp"

#include <utility>

#include "base/handle.hpp"

namespace icecore::storage {

SftpPool::Lease::~Lease() {
  if (channel_) pool_->give_back(std::move(channel_));
}

SftpPool::Lease SftpPool::take() {
  std::unique_lock lock(mutex_);
  returned_.wait(lock, [&] { return lent_ < connections_max_; });
  return lend(std::move(lock));
}

std::optional<SftpPool::Lease> SftpPool::take_spare() {
  std::unique_lock lock(mutex_);
  if (lent_ + 1 >= connections_max_) return std::nullopt;
  return lend(std::move(lock));
}

SftpPool::Lease SftpPool::lend(std::unique_lock<std::mutex> lock) {
  ++lent_;
  std::unique_ptr<SftpChannel> channel;
  std::vector<std::unique_ptr<SftpChannel>> dead;  // ended outside the lock
  while (!idle_.empty() && !channel) {
    channel = std::move(idle_.back());
    idle_.pop_back();
    if (channel->has_hung_up()) dead.push_back(std::move(channel));
  }
  losses_ += dead.size();
  lock.unlock();
  base::ScopeExit not_lent([&] { give_back(nullptr); });
  if (!channel) channel = connect();
  has_sync_ = channel->has_sync();
  not_lent.dismiss();
  return Lease(*this, std::move(channel));
}

void SftpPool::connect_ahead() {
  {
    const std::lock_guard lock(mutex_);
    if (lent_ + idle_.size() >= connections_max_) return;
    ++lent_;
  }
  base::ScopeExit not_lent([&] { give_back(nullptr); });
  std::unique_ptr<SftpChannel> channel = connect();
  not_lent.dismiss();
  give_back(std::move(channel));
}

std::unique_ptr<SftpChannel> SftpPool::connect() {
  return std::make_unique<SftpChannel>(std::make_unique<SshSession>(target_, deadlines_));
}

void SftpPool::give_back(std::unique_ptr<SftpChannel> channel) noexcept {
  const bool lost = channel && !channel->is_settled();
  if (lost) ++losses_;
  std::vector<std::unique_ptr<SftpChannel>> doubtful;  // ended outside the lock
  {
    const std::lock_guard lock(mutex_);
    --lent_;
    if (lost) doubtful = std::exchange(idle_, {});
    if (channel && !lost) idle_.push_back(std::move(channel));
  }
  returned_.notify_one();
}

}  // namespace icecore::storage
