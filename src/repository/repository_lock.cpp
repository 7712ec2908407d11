// SPDX-License-Identifier: Apache-2.0
#include "repository/repository_lock.hpp"

#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "base/handle.hpp"
#include "base/id.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "repository/envelope.hpp"

namespace icecore::repository {

using base::Fault;

namespace {

std::string first_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string own_pid_namespace() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/ns/pid", error).string();
}

// Field 22 of /proc/<pid>/stat, in clock ticks since boot; empty when there is no such process. The name
// in field 2 may hold spaces and parentheses, so counting starts behind its last one.
std::string process_start(std::int64_t pid) {
  std::string stat = first_line(fmt::format("/proc/{}/stat", pid));
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream fields(stat.substr(name_end + 1));
  std::string field;
  for (int number = 3; number <= 22; ++number) fields >> field;
  return field;
}

bool process_lives(const LockInfo& lock) { return process_start(lock.pid) == lock.process_start; }

// A mode we do not know excludes everything: the careful reading.
LockMode mode_of(std::string_view text) {
  for (const LockMode mode : {LockMode::shared, LockMode::maintenance}) {
    if (text == to_string(mode)) return mode;
  }
  return LockMode::exclusive;
}

bool compatible(const LockInfo& a, const LockInfo& b) {
  if (a.mode == LockMode::exclusive || b.mode == LockMode::exclusive) return false;
  return a.mode == LockMode::shared || b.mode == LockMode::shared;
}

[[noreturn]] void fail_busy(const std::string& url, const LockInfo& holder, LockState state) {
  const std::string who = fmt::format("{} (process {} on '{}')", holder.operation, holder.pid, holder.host);
  if (state == LockState::silent) {
    throw base::Error(Fault::busy, fmt::format("'{}' is locked by {}, silent since {}", url, who,
                                               base::format_time(holder.heartbeat)))
        .add_hint(fmt::format("if that process is gone: icecore unlock {}", holder.id.substr(0, 8)));
  }
  throw base::Error(Fault::busy,
                    fmt::format("'{}' is in use since {} by {}", url, base::format_time(holder.created), who))
      .add_hint("try again when it has ended");
}

}  // namespace

std::string_view to_string(LockMode mode) noexcept {
  switch (mode) {
    case LockMode::shared: return "shared";
    case LockMode::maintenance: return "maintenance";
    case LockMode::exclusive: break;
  }
  return "exclusive";
}

std::string lock_object(const std::string& id) { return "locks/" + id; }

base::Bytes encode_lock(const KeyRing& keys, const LockInfo& lock) {
  const base::Json json = {{"host", lock.host},
                           {"machine_id", lock.machine_id},
                           {"boot_id", lock.boot_id},
                           {"pid_namespace", lock.pid_namespace},
                           {"pid", lock.pid},
                           {"process_start", lock.process_start},
                           {"operation", lock.operation},
                           {"mode", to_string(lock.mode)},
                           {"created", base::format_time(lock.created)},
                           {"heartbeat", base::format_time(lock.heartbeat)}};
  const std::string text = json.dump(-1, ' ', false, base::Json::error_handler_t::replace);
  return seal(keys, ObjectKind::lock, lock_object(lock.id), base::as_bytes(text));
}

LockInfo decode_lock(const KeyRing& keys, const std::string& id, base::ByteView object) {
  const std::string what = "lock '" + lock_object(id) + "'";
  const base::Json json =
      base::parse_json(base::to_string(open(keys, ObjectKind::lock, lock_object(id), object)), what);
  const auto text = [&](std::string_view key) { return base::json_field<std::string>(json, key, what); };
  LockInfo lock{.id = id,
                .host = text("host"),
                .machine_id = text("machine_id"),
                .boot_id = text("boot_id"),
                .pid_namespace = text("pid_namespace"),
                .pid = base::json_field<std::int64_t>(json, "pid", what),
                .process_start = text("process_start"),
                .operation = text("operation"),
                .mode = mode_of(text("mode")),
                .created = parse_stored_time(text("created"), what),
                .heartbeat = parse_stored_time(text("heartbeat"), what)};
  return lock;
}

LockInfo describe_self(LockMode mode, const std::string& operation) {
  LockInfo lock;
  lock.id = base::random_id(16);
  lock.host = base::host_name();
  lock.machine_id = first_line("/etc/machine-id");
  lock.boot_id = first_line("/proc/sys/kernel/random/boot_id");
  lock.pid_namespace = own_pid_namespace();
  lock.pid = ::getpid();
  lock.process_start = process_start(lock.pid);
  lock.operation = operation;
  lock.mode = mode;
  lock.created = lock.heartbeat = base::now();
  return lock;
}

LockState judge(const LockInfo& lock, const LockInfo& self, base::Timestamp now) {
  const bool same_host = lock.host == self.host && lock.machine_id == self.machine_id;
  if (same_host && lock.boot_id != self.boot_id) return LockState::dead;
  if (same_host && lock.pid_namespace == self.pid_namespace)
    return process_lives(lock) ? LockState::alive : LockState::dead;
  return now - lock.heartbeat > k_lock_stale ? LockState::silent : LockState::alive;
}

RepositoryLock::RepositoryLock(Repository& repository, LockMode mode, const std::string& operation)
    : repository_(repository), lock_(describe_self(mode, operation)) {
  // Own first, then look: of two that come at once each sees the other, and none goes on wrongly.
  repository_.storage().put(lock_object(lock_.id), encode_lock(repository_.keys(), lock_));
  base::ScopeExit undo([&] { give_back(); });
  check_others();
  undo.dismiss();
}

RepositoryLock::~RepositoryLock() { give_back(); }

void RepositoryLock::give_back() noexcept {
  try {
    repository_.storage().remove(lock_object(lock_.id));
  } catch (const std::exception& error) {
    base::log_warning("lock '{}' is left behind: {}", lock_object(lock_.id), error.what());
  }
}

void RepositoryLock::check() {
  storage::Storage& storage = repository_.storage();
  if (storage.exists(lock_object(lock_.id))) return;
  base::fail(Fault::conflict, "somebody removed our lock '{}' from '{}'", lock_object(lock_.id), storage.url());
}

void RepositoryLock::refresh() {
  const base::Timestamp now = base::now();
  if (now - lock_.heartbeat < k_lock_heartbeat) return;
  check();
  lock_.heartbeat = now;
  repository_.storage().replace(lock_object(lock_.id), encode_lock(repository_.keys(), lock_));
}

void RepositoryLock::rewrite(LockMode mode) {
  lock_.mode = mode;
  repository_.storage().replace(lock_object(lock_.id), encode_lock(repository_.keys(), lock_));
}

void RepositoryLock::make_exclusive() {
  rewrite(LockMode::exclusive);
  try {
    check_others();
  } catch (const base::Error&) {
    rewrite(LockMode::maintenance);
    throw;
  }
}

void RepositoryLock::check_others() {
  storage::Storage& storage = repository_.storage();
  for (const storage::ObjectInfo& object : storage.list("locks")) {
    const std::string id = object.name.substr(object.name.rfind('/') + 1);
    if (id == lock_.id) continue;
    base::Bytes bytes;
    try {
      bytes = storage.get(object.name, size_max(ObjectKind::lock));
    } catch (const base::Error& error) {
      if (error.fault() == Fault::not_found) continue;  // given back meanwhile
      throw;
    }
    const LockInfo other = base::with_context([&] { return decode_lock(repository_.keys(), id, bytes); },
                                              "repository '{}'", storage.url());
    const LockState state = judge(other, lock_, base::now());
    if (state == LockState::dead) {
      base::log_warning("removing the lock of {}, process {}, which is gone", other.operation, other.pid);
      storage.remove(object.name);
    } else if (!compatible(other, lock_)) {
      fail_busy(storage.url(), other, state);
    }
  }
}

}  // namespace icecore::repository
