// SPDX-License-Identifier: Apache-2.0
// `icecore init`: makes a repository, and its key file when it has one.
#include <fmt/core.h>

#include <filesystem>

#include "base/error.hpp"
#include "base/id.hpp"
#include "base/shell_word.hpp"
#include "cli/commands.hpp"
#include "cli/terminal_prompt.hpp"
#include "repository/key_slots.hpp"
#include "storage/canonical_url.hpp"

namespace icecore::cli {

namespace {

using base::Fault;

struct InitOptions {
  bool encrypt = true;
  bool accept_new_host_key = false;
  std::string accept;  // beginning of an id
};

void declare(WordList& words, InitOptions& options) {
  words.option("--encryption", "default|none", "none: whoever can read the folder can read the backups",
               WordList::choice<bool>(options.encrypt, {{"default", true}, {"none", false}}));
  words.flag("--accept-new-host-key", "sftp: learn the key of a server that ~/.ssh/known_hosts does not name",
             options.accept_new_host_key);
  words.option("--accept-repository", "ID",
               "make nothing: from now on the repository that is there, of this id, is good for this host",
               WordList::into(options.accept));
}

// Looked at before a key file is made, so that nothing is left when there is a repository already.
void refuse_second(storage::Storage& storage) {
  if (!storage.exists(std::string(repository::k_config_name))) return;
  throw base::Error(Fault::conflict, fmt::format("'{}' holds a repository already", storage.url()))
      .add_hint(fmt::format("icecore list -r {}", base::shell_word(storage.url())));
}

// A wrong path must not fill somebody's folder with ours. Keys and half-written files are what an interrupted `init`
// leaves; a fresh file system brings lost+found.
void refuse_foreign_folder(storage::Storage& storage) {
  for (const std::string& name : storage.entries()) {
    if (name == "keys" || name == "lost+found" || name.find(".tmp-") != std::string::npos) continue;
    throw base::Error(Fault::conflict,
                      fmt::format("'{}' is not empty ('{}' is in it) and holds no repository", storage.url(), name))
        .add_hint("name a new or an empty folder with -r");
  }
}

// True when the key file is new.
bool make_key_file(const std::filesystem::path& path) {
  if (path.empty() || std::filesystem::exists(path)) return false;
  repository::create_key_file(path);
  return true;
}

void print_result(Session& session, const repository::Config& config, const std::string& url, bool key_is_new) {
  Console& console = session.console;
  const std::string key_file = config.encrypted ? session.options.key_file.string() : "";
  if (session.options.json) {
    console.print_json({{"id", config.repository_id},
                        {"url", url},
                        {"encrypted", config.encrypted},
                        {"format", config.format_version},
                        {"key_file", key_file},
                        {"key_file_created", key_is_new}});
    return;
  }
  console.print(fmt::format("created repository {} at {}", base::short_id(config.repository_id), url));
  if (!config.encrypted) return console.print("it is not encrypted: whoever can read it can read every backup");
  if (key_file.empty()) return console.print("remember the passphrase: without it no backup can be read");
  if (key_is_new) console.print(fmt::format("created key file {}", key_file));
  console.print(fmt::format("keep a copy of {} elsewhere: without it no backup can be read", key_file));
}

// After somebody has moved or exchanged a repository on purpose.
ExitCode accept(Session& session, const std::string& id) {
  constexpr std::size_t k_digits_min = 8;
  const std::unique_ptr<storage::Storage> storage = storage::open_storage(need_repository_url(session));
  const repository::Config config = repository::decode_config(repository::read_config_object(*storage));
  if (id.size() < k_digits_min || !config.repository_id.starts_with(id)) {
    base::fail(Fault::conflict, "'{}' holds repository {}, not '{}' (8 digits or more)", storage->url(),
               config.repository_id, id);
  }
  known_repositories(session).accept(storage::canonical_url(storage->url()), config);
  if (session.options.json) {
    print_result(session, config, storage->url(), false);
  } else {
    session.console.print(fmt::format("repository {} at {} is accepted", config.repository_id, storage->url()));
  }
  return ExitCode::ok;
}

ExitCode run(Session& session, const InitOptions& options) {
  if (!options.accept.empty()) return accept(session, options.accept);
  const std::string& url = need_repository_url(session);
  const std::unique_ptr<storage::Storage> storage = storage::open_storage(
      url, storage::StorageOptions{.create = true, .accept_new_host_key = options.accept_new_host_key});
  refuse_second(*storage);
  refuse_foreign_folder(*storage);
  repository::Credential credential;
  bool key_is_new = false;
  if (options.encrypt) {
    key_is_new = make_key_file(session.options.key_file);
    CredentialSources sources = credential_sources(session, {});
    sources.ask = [] {
      return prompt_new_passphrase({}, "--key-file FILE, or set ICECORE_PASSPHRASE_FILE or ICECORE_PASSPHRASE_COMMAND");
    };
    credential = find_credential(sources, {});
  }
  repository::InitOptions init;
  init.encrypt = options.encrypt;
  const repository::Config config = repository::Repository::create(*storage, init, credential);
  known_repositories(session).replace(storage::canonical_url(storage->url()), config);
  print_result(session, config, storage->url(), key_is_new);
  return ExitCode::ok;
}

}  // namespace

Command make_init_command() {
  return make_command<InitOptions>(
      {.name = "init",
       .summary = "Make a new repository",
       .description = "Makes a repository in an empty or new folder. It is encrypted unless told otherwise: with "
                      "--key-file by that file, which is made (mode 0600) when it does not exist; else by a "
                      "passphrase, asked for twice. Keep a copy of either elsewhere: nothing can replace it. Each host "
                      "remembers which repository it met under a URL and refuses another one there until "
                      "--accept-repository names it.",
       .examples = {{"sudo icecore init -r /var/backups/icecore --key-file /etc/icecore/repository.key",
                     "a repository and a new key file for it"},
                    {"icecore init -r ~/backups", "a repository with a passphrase"},
                    {"icecore init -r sftp://backup@nas/srv/icecore --accept-new-host-key",
                     "on another host, where an account with SFTP is all that is needed"},
                    {"icecore init -r /mnt/usb/backups --encryption none", "one that anybody can read"}},
       .json = {{"id", "of the repository"},
                {"url", "where it is"},
                {"encrypted", "true or false"},
                {"format", "version of its format"},
                {"key_file", "the key file; empty with a passphrase or without encryption"},
                {"key_file_created", "true when the key file is new"}}},
      declare, run);
}

}  // namespace icecore::cli
