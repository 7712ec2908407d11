// SPDX-License-Identifier: Apache-2.0
// What the objects locks/<id> and heartbeats/<id> say: who is at work in the repository, since when, and when last
// seen. Whether a holder still lives is judged by what its own host knows; other hosts' clocks only colour messages.
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
  std::string machine_id;     // tells hosts of one name apart; empty where there is none
  std::string boot_id;        // tells one boot from the next
  std::string pid_namespace;  // pids mean something only inside of one
  std::int64_t pid = 0;
  std::string process_start;  // tells a process from a later one with its pid
  std::string operation;      // "backup of 'web1'"
  LockMode mode = LockMode::shared;
  base::Timestamp created{};
  base::Timestamp heartbeat{};  // the newest known
};

// What this process would write.
LockInfo describe_self(LockMode mode, const std::string& operation);

enum class LockState { alive, dead, silent };
// dead: of a process of this host that is no more. silent: not known to be of this host, no heartbeat for k_lock_stale.
LockState judge(const LockInfo& lock, const LockInfo& self, base::Timestamp now);

std::string lock_object(const std::string& id);
base::Bytes encode_lock(const KeyRing& keys, const LockInfo& lock);
LockInfo decode_lock(const KeyRing& keys, const std::string& id, base::ByteView object);

std::string heartbeat_object(const std::string& id);
base::Bytes encode_heartbeat(const KeyRing& keys, const std::string& id, base::Timestamp time);
base::Timestamp decode_heartbeat(const KeyRing& keys, const std::string& id, base::ByteView object);

}  // namespace icecore::repository
