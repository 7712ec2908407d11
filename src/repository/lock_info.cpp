// SPDX-License-Identifier: Apache-2.0
#include "repository/lock_info.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <fstream>
#include <sstream>

#include "base/id.hpp"
#include "base/json.hpp"
#include "repository/envelope.hpp"

namespace icecore::repository {

namespace {

std::string first_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// 32 hex digits. Images of containers and machines that were never started hold nothing, or a word, all the same.
std::string own_machine_id() {
  constexpr std::size_t k_digits = 32;
  const std::string line = first_line("/etc/machine-id");
  const bool digits = std::all_of(line.begin(), line.end(), [](unsigned char c) { return std::isxdigit(c) != 0; });
  return digits && line.size() == k_digits ? line : "";
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

// Where /proc is mounted with hidepid, processes of others are not in it but can be signalled, or may not be.
bool process_lives(const LockInfo& lock) {
  const std::string start = process_start(lock.pid);
  if (!start.empty()) return start == lock.process_start;
  return ::kill(static_cast<pid_t>(lock.pid), 0) == 0 || errno == EPERM;
}

// A mode we do not know excludes everything: the careful reading.
LockMode mode_of(std::string_view text) {
  for (const LockMode mode : {LockMode::shared, LockMode::maintenance}) {
    if (text == to_string(mode)) return mode;
  }
  return LockMode::exclusive;
}

// Of one kernel's run, where pids mean the same: a container's namespace is its own for as long as it lives.
bool same_processes(const LockInfo& lock, const LockInfo& self) {
  if (self.boot_id.empty() || self.pid_namespace.empty()) return false;
  return lock.boot_id == self.boot_id && lock.pid_namespace == self.pid_namespace;
}

// Of this machine's life before the last boot. Without a machine id nothing tells it from another of that name.
bool before_boot(const LockInfo& lock, const LockInfo& self) {
  if (self.machine_id.empty() || lock.boot_id.empty() || self.boot_id.empty()) return false;
  return lock.machine_id == self.machine_id && lock.boot_id != self.boot_id;
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
  lock.machine_id = own_machine_id();
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
  if (lock.host == self.host && lock.machine_id == self.machine_id) {
    if (same_processes(lock, self)) return process_lives(lock) ? LockState::alive : LockState::dead;
    if (before_boot(lock, self)) return LockState::dead;
  }
  return now - lock.heartbeat > k_lock_stale ? LockState::silent : LockState::alive;
}

std::string heartbeat_object(const std::string& id) { return "heartbeats/" + id; }

base::Bytes encode_heartbeat(const KeyRing& keys, const std::string& id, base::Timestamp time) {
  const base::Json json = {{"heartbeat", base::format_time(time)}};
  return seal(keys, ObjectKind::lock, heartbeat_object(id), base::as_bytes(json.dump()));
}

base::Timestamp decode_heartbeat(const KeyRing& keys, const std::string& id, base::ByteView object) {
  const std::string name = heartbeat_object(id);
  const base::Json json = base::parse_json(base::to_string(open(keys, ObjectKind::lock, name, object)), name);
  return parse_stored_time(base::json_field<std::string>(json, "heartbeat", name), name);
}

}  // namespace icecore::repository
