// SPDX-License-Identifier: Apache-2.0
// `icecore unlock`: shows the locks of a repository and removes those whose holders are gone.
#include <fmt/core.h>

#include <algorithm>

#include "base/error.hpp"
#include "cli/commands.hpp"
#include "cli/point_output.hpp"
#include "cli/table.hpp"
#include "repository/lock_list.hpp"

namespace icecore::cli {

namespace {

using base::Fault;
using repository::FoundLock;
using repository::LockState;

constexpr std::size_t k_prefix_min = 4;

struct UnlockOptions {
  std::vector<std::string> ids;
  bool force = false;
};

void declare(WordList& words, UnlockOptions& options) {
  words.positional("ID", "remove these locks, whatever their holders do; 4 digits or more", Count::any,
                   WordList::into(options.ids));
  words.flag("--force", "remove every lock, also of holders that are alive", options.force);
}

std::string state_word(const FoundLock& lock) {
  if (!lock.damage.empty()) return "damaged";
  switch (lock.state) {
    case LockState::alive: return "alive";
    case LockState::dead: return "dead";
    case LockState::silent: return "silent";
  }
  return "";
}

// Clocks of two hosts may differ by any amount: silence is for a person to judge.
bool is_stale(const FoundLock& lock) { return lock.damage.empty() && lock.state == LockState::dead; }

const FoundLock& find_lock(const std::vector<FoundLock>& locks, const std::string& prefix) {
  const FoundLock* found = nullptr;
  for (const FoundLock& lock : locks) {
    if (lock.lock.id == prefix) return lock;  // a stray file may have any name
    if (prefix.size() < k_prefix_min || !lock.lock.id.starts_with(prefix)) continue;
    if (found != nullptr) base::fail(Fault::usage, "'{}' fits several locks; give more digits", prefix);
    found = &lock;
  }
  if (found != nullptr) return *found;
  throw base::Error(Fault::not_found, fmt::format("there is no lock '{}'", prefix)).add_hint("icecore unlock");
}

std::vector<const FoundLock*> chosen(const std::vector<FoundLock>& locks, const UnlockOptions& options) {
  std::vector<const FoundLock*> found;
  for (const std::string& id : options.ids) found.push_back(&find_lock(locks, id));
  for (const FoundLock& lock : locks) {
    if (options.ids.empty() && (options.force || is_stale(lock))) found.push_back(&lock);
  }
  return found;
}

void print_locks(Console& console, const std::vector<FoundLock>& locks) {
  std::vector<std::vector<std::string>> rows;
  for (const FoundLock& found : locks) {
    const repository::LockInfo& lock = found.lock;
    if (!found.damage.empty()) {
      rows.push_back({lock.id, "damaged", "", "", "", "", ""});
      continue;
    }
    rows.push_back({short_id(lock.id), state_word(found), std::string(to_string(lock.mode)), lock.host,
                    std::to_string(lock.pid), point_time(lock.heartbeat), lock.operation});
  }
  console.out
      << format_table(
             {{"ID"}, {"HOLDER"}, {"MODE"}, {"HOST"}, {"PROCESS", Align::right}, {"LAST SEEN (UTC)"}, {"OPERATION"}},
             rows)
      << '\n';
}

// What removing it may mean.
std::string consequence(const FoundLock& found) {
  if (!found.damage.empty()) return "it could not be read; who held it is unknown";
  if (found.state == LockState::dead) return "its process is gone";
  if (found.state == LockState::silent) return fmt::format("'{}' gave no sign for over 30 minutes", found.lock.host);
  return fmt::format("process {} on '{}' SEEMS ALIVE: stop it, it works without a lock from now on", found.lock.pid,
                     found.lock.host);
}

base::Json record_of(const FoundLock& found, bool removed) {
  const repository::LockInfo& lock = found.lock;
  base::Json record = {{"id", lock.id}, {"state", state_word(found)}, {"removed", removed}, {"damage", found.damage}};
  const bool known = found.damage.empty();
  record["mode"] = known ? to_string(lock.mode) : "";
  record["host"] = lock.host;
  record["pid"] = lock.pid;
  record["operation"] = lock.operation;
  record["created"] = known ? base::format_time(lock.created) : "";
  record["heartbeat"] = known ? base::format_time(lock.heartbeat) : "";
  return record;
}

void print_left(Console& console, const std::vector<FoundLock>& locks, std::size_t removed) {
  if (removed == locks.size()) return;
  console.print(
      fmt::format("{} locks stay; where you know that the holder is gone: icecore unlock ID", locks.size() - removed));
}

ExitCode run(Session& session, const UnlockOptions& options) {
  const OpenRepository open = open_directly(session);
  const std::vector<FoundLock> locks = list_locks(*open.repository);
  const std::vector<const FoundLock*> stale = chosen(locks, options);
  Console& console = session.console;
  const bool json = session.options.json;
  if (!json && locks.empty()) console.print(fmt::format("no locks in {}", open.storage->url()));
  if (!json && !locks.empty()) print_locks(console, locks);
  for (const FoundLock* found : stale) {
    repository::remove_lock(*open.storage, found->lock.id);
    if (!json) console.print(fmt::format("removed {}: {}", short_id(found->lock.id), consequence(*found)));
  }
  if (!json) {
    print_left(console, locks, stale.size());
    return ExitCode::ok;
  }
  base::Json records = base::Json::array();
  for (const FoundLock& found : locks) {
    records.push_back(record_of(found, std::find(stale.begin(), stale.end(), &found) != stale.end()));
  }
  console.print_json({{"repository", open.storage->url()}, {"locks", records}});
  return ExitCode::ok;
}

}  // namespace

Command make_unlock_command() {
  return make_command<UnlockOptions>(
      {.name = "unlock",
       .summary = "Remove the locks of processes that are gone",
       .description = "Shows who holds the repository, then removes the locks of processes of this host that are no "
                      "more. Locks of other hosts stay, also of one that gave no sign for 30 minutes (silent: it may "
                      "be off, or its clock wrong), and so do those that cannot be read, unless they are named or "
                      "--force is given: make sure that their holder is gone, or its work may be lost.",
       .examples = {{"icecore unlock", "those of dead processes of this host"},
                    {"icecore unlock 3f2a9c1e", "this one, whatever its holder does"}},
       .json = {{"repository", "its URL"},
                {"locks[].id", "of each lock found"},
                {"locks[].state", "alive, dead, silent or damaged"},
                {"locks[].removed", "true or false"},
                {"locks[].mode, host, pid, operation", "who held it for what"},
                {"locks[].created, heartbeat", "since when, and when last seen"},
                {"locks[].damage", "why it cannot be read"}}},
      declare, run);
}

}  // namespace icecore::cli
