// SPDX-License-Identifier: Apache-2.0
// `icecore key export`: a recovery sheet to print and lock away.
#include <fmt/core.h>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/id.hpp"
#include "cli/commands.hpp"
#include "cli/key_session.hpp"
#include "cli/point_output.hpp"
#include "cli/recovery_sheet.hpp"

namespace icecore::cli {

namespace {

using base::Fault;

struct KeyExportOptions {
  std::filesystem::path to;
};

void declare(WordList& words, KeyExportOptions& options) {
  words.option("--to", "FILE", "a new file (mode 0600) instead of standard output", WordList::into(options.to));
}

void check_target(const Session& session, const KeyExportOptions& options) {
  if (session.options.json && options.to.empty()) {
    throw base::Error(Fault::usage, "a JSON record holds no secrets").add_hint("add --to FILE");
  }
  if (!options.to.empty() && std::filesystem::exists(options.to)) {
    base::fail(Fault::conflict, "'{}' exists already and is left as it is", options.to.string());
  }
}

void write_sheet(Session& session, const KeyExportOptions& options, const std::string& sheet) {
  try {
    if (options.to.empty()) return session.console.print_surely(sheet);
    base::write_durably(options.to, base::as_bytes(sheet), 0600);
  } catch (base::Error& error) {
    error.add_context("there is no recovery sheet, and no key slot was made for it");
    throw;
  }
}

// The slot could not be stored, or not be proved: then the sheet goes too, unless the slot may still be there.
void withdraw(repository::KeySlots& slots, const std::string& id, const KeyExportOptions& options, base::Error& why) {
  try {
    slots.remove(id);
  } catch (const base::Error& error) {
    if (error.fault() != Fault::not_found) {
      why
          .add_context(fmt::format(
              "whether the recovery sheet opens anything is not known: it does if there is a slot {}", short_id(id)))
          .add_hint("icecore key list");
      return;
    }
  }
  std::error_code ignored;
  if (!options.to.empty()) std::filesystem::remove(options.to, ignored);
  why.add_context(options.to.empty() ? "the recovery sheet that was just printed opens nothing: tear it up"
                                     : "there is no recovery sheet, and no key slot");
}

// The sheet first: a slot whose key is on no paper would count as one that opens the repository, and let the last real
// one be removed. A sheet without its slot opens nothing and says so.
void make_sheet_and_slot(Session& session, const KeyExportOptions& options, const std::string& sheet,
                         repository::KeySlots& slots, const repository::KeySlot& slot,
                         const repository::Credential& credential) {
  write_sheet(session, options, sheet);
  base::failpoint("key.sheet_written");
  try {
    slots.store(slot, credential);
  } catch (base::Error& error) {
    withdraw(slots, slot.id, options, error);
    throw;
  }
}

ExitCode run(Session& session, const KeyExportOptions& options) {
  check_target(session, options);
  const OpenKeys keys = open_keys(session, {});
  const repository::Secret key = repository::Secret::random(repository::k_key_bytes);
  const repository::Credential credential = repository::KeyBytes{key.clone()};
  const base::Timestamp now = base::now();
  const repository::KeySlot slot = keys.slots->make(credential, "recovery sheet of " + point_time(now).substr(0, 10));
  std::string sheet = format_recovery_sheet({.url = keys.storage->url(),
                                             .repository_id = keys.slots->config().repository_id,
                                             .repository_created = keys.slots->config().created,
                                             .slot = slot.id,
                                             .made = now,
                                             .host = base::host_name()},
                                            key);
  const base::ScopeExit forget([&] { repository::wipe(std::as_writable_bytes(std::span(sheet))); });
  make_sheet_and_slot(session, options, sheet, *keys.slots, slot, credential);
  if (options.to.empty()) {
    session.console.err << fmt::format(
        "icecore: key slot {0} is made; if this did not get on paper: icecore key remove {0}\n", short_id(slot.id));
    return ExitCode::ok;
  }
  if (session.options.json) {
    session.console.print_json({{"id", slot.id}, {"file", options.to.string()}});
  } else {
    session.console.print(fmt::format("wrote {}: print it, lock it away, and remove the file", options.to.string()));
  }
  return ExitCode::ok;
}

}  // namespace

Command make_key_export_command() {
  return make_command<KeyExportOptions>(
      {.name = "key export",
       .summary = "Print a recovery sheet: all that is needed to restore",
       .description =
           "Makes a key slot with a new random key and prints a sheet for a safe: where the repository is, its "
           "id, the key in lines with checksums, and each step of a restore on a machine that has nothing else. "
           "--key-file reads the lines as typed in. No other key stands on it, and `icecore key remove` makes "
           "the sheet worthless. The slot is made when the sheet is written: interrupted before that, the sheet opens "
           "nothing, and `icecore key list` does not show its slot. A printer that fails later is not noticed.",
       .examples = {{"icecore key export", "to be read, or piped into a printer"},
                    {"icecore key export --to sheet.txt", "into a file, which --key-file can read"}},
       .json = {{"id", "of the new slot"}, {"file", "where the sheet is"}}},
      declare, run);
}

}  // namespace icecore::cli
