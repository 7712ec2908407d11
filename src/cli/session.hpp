// SPDX-License-Identifier: Apache-2.0
// What a command has to work with: the common options, the console, and the ways to open things they name.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "cli/console.hpp"
#include "cli/credential.hpp"
#include "cli/environment.hpp"
#include "cli/session_options.hpp"
#include "repository/known_repositories.hpp"
#include "repository/repository.hpp"
#include "staging/spooled_storage.hpp"
#include "storage/storage.hpp"

namespace icecore::cli {

struct Session {
  SessionOptions options;
  Console& console;
  Environment environment;
  // Made to a remote beside the first, by a command that asks it several things side by side.
  unsigned connections_ahead = 0;
};

// A repository with the storage it lives on.
struct OpenRepository {
  std::unique_ptr<storage::Storage> storage;
  std::unique_ptr<repository::Repository> repository;
};

// The URL the user named. Fault::usage when there is none.
const std::string& need_repository_url(const Session& session);

// Where backups wait for their upload.
std::filesystem::path staging_dir(const Session& session);

// The storage a URL names, over its staging when it has one: a remote always, a local folder when a staging folder was
// named. After a stop a server that does not answer is not waited for.
std::unique_ptr<storage::Storage> open_storage(const Session& session, const std::string& url,
                                               const std::stop_token& stop);

// Where the credential of this session's repository is looked for.
CredentialSources credential_sources(const Session& session, std::stop_token stop);

// The repositories this host has met. Below the state folder.
repository::KnownRepositories known_repositories(const Session& session);
// Throws Fault::conflict when the storage holds another repository than the one known there.
void check_known_repository(const Session& session, storage::Storage& storage);

// Opens a repository, unless it is another than the one known there, asking for its passphrase when nothing else
// unlocks it. An unencrypted one needs nothing.
OpenRepository open_repository(const Session& session, const std::string& url, const CredentialSources& sources,
                               const std::stop_token& stop, repository::Remember remember = repository::Remember::yes);

// As above with what the options and the environment name.
OpenRepository open_repository(const Session& session, const std::stop_token& stop = {},
                               repository::Remember remember = repository::Remember::yes);

// The same past any staging: what the repository itself holds. For maintenance, whose order of writing and deleting
// must be the remote's own.
OpenRepository open_directly(const Session& session, const std::string& url, const CredentialSources& sources,
                             const std::stop_token& stop);
OpenRepository open_directly(const Session& session, const std::stop_token& stop = {});

// For who only looks, and leaves nothing: past staging where nothing is staged, without remembering the repository, and
// nobody is asked for a passphrase (Fault::denied).
OpenRepository open_to_look(const Session& session, const std::string& url, CredentialSources sources,
                            const std::stop_token& stop);

}  // namespace icecore::cli
