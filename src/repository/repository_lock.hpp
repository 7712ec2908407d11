// SPDX-License-Identifier: Apache-2.0
// The objects locks/<id>: who is at work in the repository. Shared locks go together, a maintenance lock goes with
// shared ones but not with another, an exclusive one goes with nothing. A lock of a process that is gone is removed;
// one that may be alive elsewhere is explained.
#pragma once

#include <string>

#include "base/clock.hpp"
#include "repository/repository.hpp"

namespace icecore::repository {

enum class LockMode { shared, maintenance, exclusive };
std::string_view to_string(LockMode mode) noexcept;

// Owners on other hosts beat at least every k_lock_heartbeat; after k_lock_stale they are taken for dead,
// but only a person removes their lock.
constexpr std::chrono::minutes k_lock_heartbeat{5};
constexpr std::chrono::minutes k_lock_stale{30};

struct LockInfo {
  std::string id;
  std::string host;
  std::string machine_id;     // tells hosts of one name apart
  std::string boot_id;        // tells one boot from the next
  std::string pid_namespace;  // pids mean something only inside of one
  std::int64_t pid = 0;
  std::string process_start;  // tells a process from a later one with its pid
  std::string operation;      // "backup of 'web1'"
  LockMode mode = LockMode::shared;
  base::Timestamp created{};
  base::Timestamp heartbeat{};
};

std::string lock_object(const std::string& id);
base::Bytes encode_lock(const KeyRing& keys, const LockInfo& lock);
LockInfo decode_lock(const KeyRing& keys, const std::string& id, base::ByteView object);

// What this process would write.
LockInfo describe_self(LockMode mode, const std::string& operation);

enum class LockState { alive, dead, silent };
// dead: of a process of this host that is no more. silent: of another host, no heartbeat for k_lock_stale.
LockState judge(const LockInfo& lock, const LockInfo& self, base::Timestamp now);

class RepositoryLock {
 public:
  // Takes the lock or throws Fault::busy naming who holds the repository, since when and what to do; then
  // nothing of ours is left. `repository` outlives it.
  RepositoryLock(Repository& repository, LockMode mode, const std::string& operation);
  RepositoryLock(const RepositoryLock&) = delete;
  RepositoryLock& operator=(const RepositoryLock&) = delete;
  // Removes the lock; failing that it logs and the next comer finds it stale.
  ~RepositoryLock();

  const std::string& id() const noexcept { return lock_.id; }

  // Throws Fault::conflict when somebody has removed the lock: what it held off may have happened. Asks the storage
  // each time; one that is away from a backup with staging passes.
  void check();

  // To be called now and then by the job: writes a new heartbeat when the last is older than
  // k_lock_heartbeat, and check()s then.
  void refresh();

  // From here on alone: a maintenance lock becomes exclusive. Fault::busy when somebody works beside it; then it
  // is a maintenance lock as before.
  void make_exclusive();

 private:
  void rewrite(LockMode mode);
  void check_others();
  void give_back() noexcept;

  Repository& repository_;
  LockInfo lock_;
};

}  // namespace icecore::repository
