// SPDX-License-Identifier: Apache-2.0
// `icecore key add` and `icecore key change-passphrase`.
#include <fmt/core.h>

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/id.hpp"
#include "cli/commands.hpp"
#include "cli/key_session.hpp"
#include "cli/point_output.hpp"

namespace icecore::cli {

namespace {

using base::Fault;

struct KeyAddOptions {
  NewCredential credential;
  std::string label;
};

void declare_passphrase_file(WordList& words, KeyAddOptions& options) {
  words.option("--new-passphrase-file", "FILE", "its first line is the new passphrase; without it, it is asked for",
               WordList::into(options.credential.passphrase_file));
  words.option("--label", "TEXT", "who or what holds it, for `icecore key list` (this host's name)",
               WordList::into(options.label));
}

void declare_add(WordList& words, KeyAddOptions& options) {
  words.option("--new-key-file", "FILE", "the new key; made (mode 0600) when it does not exist",
               WordList::into(options.credential.key_file));
  declare_passphrase_file(words, options);
}

std::string label_of(const KeyAddOptions& options) {
  constexpr std::size_t k_label_letters_max = 200;
  if (options.label.size() > k_label_letters_max) {
    base::fail(Fault::usage, "the label is longer than {} bytes", k_label_letters_max);
  }
  return options.label.empty() ? base::host_name() : options.label;
}

ExitCode run_add(Session& session, const KeyAddOptions& options) {
  const std::string label = label_of(options);
  const OpenKeys keys = open_keys(session, {});
  const bool had_file = std::filesystem::exists(options.credential.key_file);
  const repository::Credential credential = find_new_credential(session, options.credential, {});
  const repository::KeySlot slot = keys.slots->add(credential, label);
  const bool file_is_new = !options.credential.key_file.empty() && !had_file;
  if (session.options.json) {
    session.console.print_json({{"id", slot.id},
                                {"kind", slot_kind(slot)},
                                {"label", slot.label},
                                {"key_file", options.credential.key_file.string()},
                                {"key_file_created", file_is_new}});
    return ExitCode::ok;
  }
  if (file_is_new) session.console.print(fmt::format("created key file {}", options.credential.key_file.string()));
  session.console.print(
      fmt::format("added key slot {}: this {} opens the repository now", short_id(slot.id), slot_kind(slot)));
  return ExitCode::ok;
}

// The passphrase that opened the repository is the new one too: a change that was cut off after it was added, and is
// done again with the new words, looks like this.
[[noreturn]] void fail_same(const std::vector<repository::FoundSlot>& slots, const std::string& in_use) {
  std::string older;
  for (const repository::FoundSlot& found : slots) {
    if (found.damage.empty() && found.slot.passphrase && found.slot.id != in_use && older.empty())
      older = found.slot.id;
  }
  base::Error error(Fault::conflict, fmt::format("this passphrase opens key slot {} already", short_id(in_use)));
  if (older.empty()) throw error.add_hint("icecore key list");
  throw error.add_context(fmt::format("passphrase slot {} is there too", short_id(older)))
      .add_hint(fmt::format("if that is the old one: icecore key remove {}", short_id(older)));
}

ExitCode run_change(Session& session, const KeyAddOptions& options) {
  const OpenKeys keys = open_keys(session, {});
  const std::string old = keys.slots->in_use();
  const std::vector<repository::FoundSlot> slots = repository::list_slots(*keys.storage);
  if (!find_slot(slots, old).slot.passphrase) {
    throw base::Error(Fault::usage, "a key file was used to open the repository, and it has no passphrase to change")
        .add_hint("icecore key add --new-key-file FILE, then icecore key remove " + short_id(old));
  }
  const repository::Credential credential = find_new_credential(session, options.credential, {});
  // The new one is durable and proved before the old one goes: interrupted in between, both open. Done again, the new
  // one is there already.
  std::optional<repository::KeySlot> slot = keys.slots->opened_by(credential);
  if (slot && slot->id == old) fail_same(slots, old);
  if (!slot) slot = keys.slots->add(credential, label_of(options));
  base::failpoint("key.before_old_goes");
  keys.slots->remove(old);
  if (session.options.json) {
    session.console.print_json({{"id", slot->id}, {"label", slot->label}, {"removed", old}});
  } else {
    session.console.print(
        fmt::format("the passphrase is changed: slot {} opens now, {} is gone", short_id(slot->id), short_id(old)));
  }
  return ExitCode::ok;
}

}  // namespace

Command make_key_add_command() {
  return make_command<KeyAddOptions>(
      {.name = "key add",
       .summary = "Let another key file or passphrase open the repository",
       .description =
           "Adds a key slot: the repository's own key, wrapped once more. It is opened with what opens it now "
           "(--key-file, the environment, or the terminal) and read back before this ends. No data is "
           "written anew, and backups may run meanwhile.",
       .examples = {{"icecore key add --new-key-file /root/second.key --label host-b", "a second key file, made new"},
                    {"icecore key add --label safe", "a passphrase, asked for twice"}},
       .json = {{"id", "of the new slot"},
                {"kind", "key file or passphrase"},
                {"label", "as given"},
                {"key_file", "the key file; empty with a passphrase"},
                {"key_file_created", "true when it is new"}}},
      declare_add, run_add);
}

Command make_key_change_passphrase_command() {
  return make_command<KeyAddOptions>(
      {.name = "key change-passphrase",
       .summary = "Replace the passphrase that opens the repository now",
       .description =
           "Adds a slot for the new passphrase, proves that it opens, then removes the old slot. Interrupted in "
           "between, both open, and the same again ends it. Somebody who knew the old passphrase and has read the "
           "repository's own key "
           "with it still has that key: then copy the backups into a new repository.",
       .examples = {{"icecore key change-passphrase", "asks for the old one, and twice for the new one"}},
       .json = {{"id", "of the new slot"}, {"label", "as given"}, {"removed", "id of the old slot"}}},
      declare_passphrase_file, run_change);
}

}  // namespace icecore::cli
