// SPDX-License-Identifier: Apache-2.0
#include "cli/session.hpp"

#include <fmt/core.h>

#include "base/error.hpp"
#include "cli/terminal_prompt.hpp"

namespace icecore::cli {

namespace {

using base::Fault;

// Whether anything has to unlock it; looked up before a passphrase is asked for.
bool is_encrypted(storage::Storage& storage) {
  const std::string name(repository::k_config_name);
  if (!storage.exists(name)) {
    throw base::Error(Fault::not_found, fmt::format("'{}' holds no repository", storage.url()))
        .add_hint(fmt::format("icecore init -r {}", storage.url()));
  }
  return repository::decode_config(storage.get(name, base::k_mib)).encrypted;
}

}  // namespace

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

OpenRepository open_repository(const Session& session, const std::string& url, const CredentialSources& sources,
                               const std::stop_token& stop) {
  OpenRepository open;
  open.storage = storage::open_storage(url);
  repository::Credential credential;
  if (names_credential(sources) || is_encrypted(*open.storage)) credential = find_credential(sources, stop);
  open.repository =
      std::make_unique<repository::Repository>(*open.storage, credential, session.options.state_dir / "cache");
  return open;
}

OpenRepository open_repository(const Session& session, const std::stop_token& stop) {
  return open_repository(session, need_repository_url(session), credential_sources(session, stop), stop);
}

}  // namespace icecore::cli
