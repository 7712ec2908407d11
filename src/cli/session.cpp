// SPDX-License-Identifier: Apache-2.0
#include "cli/session.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/error.hpp"
#include "cli/terminal_prompt.hpp"
#include "repository/key_slots.hpp"
#include "storage/canonical_url.hpp"

namespace icecore::cli {

namespace {

using base::Fault;

repository::Config read_config(storage::Storage& storage) {
  return repository::decode_config(repository::read_config_object(storage));
}

bool is_local(const std::string& url) { return url.starts_with("file://") || url.find("://") == std::string::npos; }

}  // namespace

std::filesystem::path staging_dir(const Session& session) {
  const SessionOptions& options = session.options;
  return options.staging_dir.empty() ? options.state_dir / "staging" : std::filesystem::absolute(options.staging_dir);
}

std::unique_ptr<storage::Storage> open_storage(const Session& session, const std::string& url,
                                               const std::stop_token& stop) {
  if (is_local(url) && session.options.staging_dir.empty()) return storage::open_storage(url);
  return std::make_unique<staging::SpooledStorage>(
      storage::canonical_url(url),
      [url, stop, ahead = session.connections_ahead] {
        return storage::open_storage(url, {.connected_ahead = ahead, .stop = stop});
      },
      staging_dir(session), session.options.staging_bytes_max, session.connections_ahead > 0);
}

const std::string& need_repository_url(const Session& session) {
  if (session.options.repository_url.empty()) {
    throw base::Error(Fault::usage, "no repository is named").add_hint("-r URL, or set ICECORE_REPOSITORY");
  }
  return session.options.repository_url;
}

CredentialSources credential_sources(const Session& session, std::stop_token stop) {
  return {session.options.key_file, {}, session.environment, [stop = std::move(stop)] {
            return prompt_passphrase("Passphrase of the repository", stop);
          }};
}

repository::KnownRepositories known_repositories(const Session& session) {
  return repository::KnownRepositories(session.options.state_dir / "repositories");
}

void check_known_repository(const Session& session, storage::Storage& storage) {
  known_repositories(session).check(storage::canonical_url(storage.url()), read_config(storage));
}

namespace {

OpenRepository open_on(std::unique_ptr<storage::Storage> storage, const Session& session,
                       const CredentialSources& sources, const std::stop_token& stop,
                       repository::Remember remember = repository::Remember::yes) {
  OpenRepository open;
  open.storage = std::move(storage);
  const auto check = [&](const repository::Config& config) {
    known_repositories(session).check(storage::canonical_url(open.storage->url()), config, remember);
  };
  // Nobody is asked for a passphrase before it is known that something needs one, and that it is not exchanged.
  const auto needs_credential = [&] {
    const repository::Config config = read_config(*open.storage);
    check(config);
    return config.encrypted;
  };
  repository::Credential credential;
  if (names_credential(sources) || needs_credential()) credential = find_credential(sources, stop);
  open.repository =
      std::make_unique<repository::Repository>(*open.storage, credential, session.options.state_dir / "cache", check);
  return open;
}

}  // namespace

OpenRepository open_repository(const Session& session, const std::string& url, const CredentialSources& sources,
                               const std::stop_token& stop, repository::Remember remember) {
  return open_on(open_storage(session, url, stop), session, sources, stop, remember);
}

OpenRepository open_directly(const Session& session, const std::string& url, const CredentialSources& sources,
                             const std::stop_token& stop) {
  return open_on(storage::open_storage(url, {.stop = stop}), session, sources, stop);
}

OpenRepository open_to_look(const Session& session, const std::string& url, CredentialSources sources,
                            const std::stop_token& stop) {
  sources.ask = []() -> repository::Secret { base::fail(Fault::denied, "neither a key nor a passphrase is named"); };
  const auto places = staging::find_spools(staging_dir(session));
  const std::string known_as = storage::canonical_url(url);
  const auto is_its = [&](const staging::SpoolPlace& place) { return place.url == known_as; };
  const bool staged = std::any_of(places.begin(), places.end(), is_its);
  return open_on(staged ? open_storage(session, url, stop) : storage::open_storage(url, {.stop = stop}), session,
                 sources, stop, repository::Remember::no);
}

OpenRepository open_directly(const Session& session, const std::stop_token& stop) {
  return open_directly(session, need_repository_url(session), credential_sources(session, stop), stop);
}

OpenRepository open_repository(const Session& session, const std::stop_token& stop, repository::Remember remember) {
  return open_repository(session, need_repository_url(session), credential_sources(session, stop), stop, remember);
}

}  // namespace icecore::cli
