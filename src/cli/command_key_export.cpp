// SPDX-License-Identifier: Apache-2.0
// `icecore key export`: a recovery sheet to print and lock away.
#include <fmt/core.h>

#include "base/durable_file.hpp"
#include "base/error.hpp"
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
  if (options.to.empty()) return session.console.print_surely(sheet);
  base::write_durably(options.to, base::as_bytes(sheet), 0600);
}

// A key that is on no paper would count as one that opens the repository, and let the last real one be removed.
void withdraw(repository::KeySlots& slots, const std::string& id, base::Error& why) {
  try {
    slots.remove(id);
    why.add_context("there is no recovery sheet, and its key slot is removed again");
  } catch (const base::Error& error) {
    why.add_context(
           fmt::format("there is no recovery sheet, but its key slot {} stays ({})", short_id(id), error.what()))
        .add_hint("icecore key remove " + short_id(id));
  }
}

ExitCode run(Session& session, const KeyExportOptions& options) {
  check_target(session, options);
  const OpenKeys keys = open_keys(session, {});
  const repository::Secret key = repository::Secret::random(repository::k_key_bytes);
  const base::Timestamp now = base::now();
  const repository::KeySlot slot =
      keys.slots->add(repository::KeyBytes{key.clone()}, "recovery sheet of " + point_time(now).substr(0, 10));
  std::string sheet = format_recovery_sheet({.url = keys.storage->url(),
                                             .repository_id = keys.slots->config().repository_id,
                                             .repository_created = keys.slots->config().created,
                                             .slot = slot.id,
                                             .made = now,
                                             .host = base::host_name()},
                                            key);
  const base::ScopeExit forget([&] { repository::wipe(std::as_writable_bytes(std::span(sheet))); });
  try {
    write_sheet(session, options, sheet);
  } catch (base::Error& error) {
    withdraw(*keys.slots, slot.id, error);
    throw;
  }
  if (options.to.empty()) {
    session.console.err << fmt::format("icecore: if this did not get on paper: icecore key remove {}\n",
                                       short_id(slot.id));
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
           "the sheet worthless. When the sheet cannot be written its slot is removed again; a printer that fails "
           "later is not noticed.",
       .examples = {{"icecore key export", "to be read, or piped into a printer"},
                    {"icecore key export --to sheet.txt", "into a file, which --key-file can read"}},
       .json = {{"id", "of the new slot"}, {"file", "where the sheet is"}}},
      declare, run);
}

}  // namespace icecore::cli
