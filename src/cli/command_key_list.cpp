// SPDX-License-Identifier: Apache-2.0
// `icecore key list` and `icecore key remove`.
#include <fmt/core.h>

#include "base/error.hpp"
#include "cli/commands.hpp"
#include "cli/key_session.hpp"
#include "cli/point_output.hpp"
#include "cli/program.hpp"
#include "cli/table.hpp"

namespace icecore::cli {

namespace {

using base::Fault;
using repository::FoundSlot;

struct KeyListOptions {};

struct KeyRemoveOptions {
  std::string id;
  bool force = false;
};

void declare_list(WordList&, KeyListOptions&) {}

void declare_remove(WordList& words, KeyRemoveOptions& options) {
  words.positional("ID", "of the slot, or its first digits", Count::one, WordList::into(options.id));
  words.flag("--force", "also the slot that opened the repository just now", options.force);
}

base::Json record_of(const FoundSlot& found, const std::string& in_use) {
  const bool readable = found.damage.empty();
  return {{"id", found.slot.id},
          {"kind", readable ? slot_kind(found.slot) : ""},
          {"label", found.slot.label},
          {"created", readable ? base::format_time(found.slot.created) : ""},
          {"in_use", found.slot.id == in_use},
          {"damage", found.damage}};
}

void print_slots(Console& console, const std::vector<FoundSlot>& slots, const std::string& in_use) {
  std::vector<std::vector<std::string>> rows;
  for (const FoundSlot& found : slots) {
    const std::string mark = found.slot.id == in_use ? "*" : "";
    if (!found.damage.empty()) {
      rows.push_back({mark, short_id(found.slot.id), "damaged", "", ""});
    } else {
      rows.push_back(
          {mark, short_id(found.slot.id), slot_kind(found.slot), point_time(found.slot.created), found.slot.label});
    }
  }
  console.out << format_table({{""}, {"ID"}, {"KIND"}, {"CREATED (UTC)"}, {"LABEL"}}, rows);
  if (!in_use.empty()) console.print("* opened the repository just now");
}

struct SlotInUse {
  std::string id;                        // empty: no key was named, or see `failure`
  std::optional<base::Error> failure{};  // why the key that was named opens none
};

// Which slot the named credential opens; the list itself needs none, so nobody is asked for a passphrase.
SlotInUse slot_in_use(Session& session) {
  if (!names_credential(credential_sources(session, {}))) return {};
  try {
    return {open_keys(session, {}).slots->in_use()};
  } catch (const base::Error& error) {
    if (error.fault() == Fault::cancelled) throw;
    return {{}, error};
  }
}

ExitCode run_list(Session& session, const KeyListOptions&) {
  const std::unique_ptr<storage::Storage> storage = storage::open_storage(need_repository_url(session));
  check_known_repository(session, *storage);
  const repository::Config config = repository::decode_config(repository::read_config_object(*storage));
  const SlotInUse in_use = config.encrypted ? slot_in_use(session) : SlotInUse{};
  const std::vector<FoundSlot> slots = repository::list_slots(*storage);
  if (session.options.json) {
    base::Json records = base::Json::array();
    for (const FoundSlot& found : slots) records.push_back(record_of(found, in_use.id));
    session.console.print_json({{"repository", storage->url()},
                                {"repository_id", config.repository_id},
                                {"encrypted", config.encrypted},
                                {"keys", records},
                                {"key_problem", in_use.failure ? in_use.failure->what() : ""}});
    return ExitCode::ok;
  }
  session.console.print(fmt::format("repository {} at {}", config.repository_id, storage->url()));
  if (!config.encrypted) {
    session.console.print("it is not encrypted and has no keys");
  } else {
    print_slots(session.console, slots, in_use.id);
  }
  if (in_use.failure) print_error(session.console, *in_use.failure);
  return ExitCode::ok;
}

ExitCode run_remove(Session& session, const KeyRemoveOptions& options) {
  const OpenKeys keys = open_keys(session, {});
  const std::string id = find_slot(repository::list_slots(*keys.storage), options.id).slot.id;
  if (id == keys.slots->in_use() && !options.force) {
    throw base::Error(Fault::conflict,
                      fmt::format("key slot {} opened the repository just now, and nothing has shown that another does",
                                  short_id(id)))
        .add_hint("open it with another key, as --key-file FILE, or add --force");
  }
  keys.slots->remove(id);
  if (session.options.json) {
    session.console.print_json({{"id", id}, {"removed", true}});
  } else {
    session.console.print(fmt::format("removed key slot {}", short_id(id)));
    session.console.print("who has opened the repository with it may have kept the repository's own key");
  }
  return ExitCode::ok;
}

}  // namespace

Command make_key_list_command() {
  return make_command<KeyListOptions>(
      {.name = "key list",
       .summary = "List the key slots of the repository",
       .description =
           "Shows what opens the repository, oldest first. This needs no key; with one, the slot it opens is "
           "marked, and one that opens none is told on standard error.",
       .examples = {{"icecore key list -r /var/backups/icecore", "all slots"}},
       .json = {{"repository, repository_id", "its URL and id"},
                {"encrypted", "false: it has no keys"},
                {"keys[].id", "of the slot"},
                {"keys[].kind", "key file or passphrase"},
                {"keys[].label, created", "as given, and when"},
                {"keys[].in_use", "true: the key in use opens this one"},
                {"keys[].damage", "why it cannot be read"},
                {"key_problem", "why the key that was named opens none; empty otherwise"}}},
      declare_list, run_list);
}

Command make_key_remove_command() {
  return make_command<KeyRemoveOptions>(
      {.name = "key remove",
       .summary = "Remove a key slot",
       .description =
           "The key file or passphrase of that slot opens the repository no longer. The last slot that can be "
           "read is never removed, and the one in use only with --force. Keys that were read before stay "
           "known to who read them: after a theft, copy the backups into a new repository.",
       .examples = {{"icecore key remove 3f2a9c1e", "one slot"}},
       .json = {{"id", "of the slot"}, {"removed", "true"}}},
      declare_remove, run_remove);
}

}  // namespace icecore::cli
