// SPDX-License-Identifier: Apache-2.0
#include "repository/repository_lock.hpp"

#include <set>

#include "base/error.hpp"
#include "base/handle.hpp"
#include "base/id.hpp"
#include "base/log.hpp"
#include "base/shell_word.hpp"
#include "repository/lock_list.hpp"

namespace icecore::repository {

using base::Fault;

namespace {

bool compatible(const LockInfo& a, const LockInfo& b) {
  if (a.mode == LockMode::exclusive || b.mode == LockMode::exclusive) return false;
  return a.mode == LockMode::shared || b.mode == LockMode::shared;
}

[[noreturn]] void fail_busy(const std::string& url, const LockInfo& holder, LockState state) {
  const std::string who = fmt::format("{} (process {} on '{}')", holder.operation, holder.pid, holder.host);
  if (state == LockState::silent) {
    throw base::Error(Fault::busy, fmt::format("'{}' is locked by {}, silent since {}", url, who,
                                               base::format_time(holder.heartbeat)))
        .add_hint(fmt::format("if that process is gone: icecore unlock {}", base::short_id(holder.id)));
  }
  throw base::Error(Fault::busy,
                    fmt::format("'{}' is in use since {} by {}", url, base::format_time(holder.created), who))
      .add_hint("try again when it has ended");
}

[[noreturn]] void fail_damaged(const std::string& url, const FoundLock& found) {
  throw base::Error(Fault::corrupt,
                    fmt::format("lock '{}' in '{}' cannot be read, so nobody knows what its holder does: {}",
                                lock_object(found.lock.id), url, found.damage))
      .add_hint("if nobody is at work there: icecore unlock " + base::shell_word(found.lock.id));
}

}  // namespace

RepositoryLock::RepositoryLock(Repository& repository, LockMode mode, const std::string& operation,
                               const std::function<void()>& once_there)
    : repository_(repository), operation_(operation) {
  take(mode, once_there);
}

RepositoryLock::~RepositoryLock() {
  while (!held_.empty()) give_back();
}

void RepositoryLock::take(LockMode mode, const std::function<void()>& once_there) {
  // Own first, then look: of two that come at once each sees the other, and none goes on wrongly.
  const LockInfo own = describe_self(mode, operation_);
  repository_.storage().put(lock_object(own.id), encode_lock(repository_.keys(), own));
  held_.push_back(own);
  base::ScopeExit undo([&] { give_back(); });
  once_there();
  refuse_beside(own);
  undo.dismiss();
}

void RepositoryLock::give_back() noexcept {
  const std::string id = held_.back().id;
  held_.pop_back();
  try {
    has_beaten_ ? remove_lock(repository_.storage(), id) : repository_.storage().remove(lock_object(id));
  } catch (const std::exception& error) {
    base::log_warning("lock '{}' is left behind: {}", lock_object(id), error.what());
  }
}

void RepositoryLock::check() {
  storage::Storage& storage = repository_.storage();
  for (const LockInfo& lock : held_) {
    if (storage.exists(lock_object(lock.id))) continue;
    base::fail(Fault::conflict, "somebody removed our lock '{}' from '{}'", lock_object(lock.id), storage.url());
  }
}

void RepositoryLock::refresh() {
  if (since_beat_.elapsed() < k_lock_heartbeat) return;
  check();
  beat();
}

void RepositoryLock::beat() {
  has_beaten_ = true;
  since_beat_ = {};  // one that fails is not tried again at once
  for (const LockInfo& lock : held_) {
    repository_.storage().replace(heartbeat_object(lock.id),
                                  encode_heartbeat(repository_.keys(), lock.id, base::now()));
  }
}

void RepositoryLock::make_exclusive() { take(LockMode::exclusive); }

void RepositoryLock::refuse_beside(const LockInfo& own) {
  storage::Storage& storage = repository_.storage();
  std::set<std::string> ours;
  for (const LockInfo& held : held_) ours.insert(held.id);
  for (const FoundLock& other : list_locks(repository_, ours)) {
    if (!other.damage.empty()) fail_damaged(storage.url(), other);
    if (other.state == LockState::dead) {
      base::log_info("removing the lock of {}, process {}, which is gone", other.lock.operation, other.lock.pid);
      remove_lock(storage, other.lock.id);
    } else if (!compatible(other.lock, own)) {
      fail_busy(storage.url(), other.lock, other.state);
    }
  }
}

}  // namespace icecore::repository
