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

bool is_local(const std::string& url) { return url.starts_with("file://") || url.find("://") == std::string::npos; }

// One name for one place, however it was typed.
std::string plain_url(const std::string& url) {
  constexpr std::string_view k_file_scheme = "file://";
  if (!is_local(url)) return url;
  return std::filesystem::absolute(url.starts_with(k_file_scheme) ? url.substr(k_file_scheme.size()) : url)
      .lexically_normal();
}

}  // namespace

std::filesystem::path staging_dir(const Session& session) {
  const SessionOptions& options = session.options;
  return options.staging_dir.empty() ? options.state_dir / "staging" : std::filesystem::absolute(options.staging_dir);
}

std::unique_ptr<storage::Storage> open_storage(const Session& session, const std::string& url) {
  if (is_local(url) && session.options.staging_dir.empty()) return storage::open_storage(url);
  return std::make_unique<staging::SpooledStorage>(
      plain_url(url), [url] { return storage::open_storage(url); }, staging_dir(session),
      session.options.staging_bytes_max);
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

namespace {

OpenRepository open_on(std::unique_ptr<storage::Storage> storage, const Session& session,
                       const CredentialSources& sources, const std::stop_token& stop) {
  OpenRepository open;
  open.storage = std::move(storage);
  repository::Credential credential;
  if (names_credential(sources) || is_encrypted(*open.storage)) credential = find_credential(sources, stop);
  open.repository =
      std::make_unique<repository::Repository>(*open.storage, credential, session.options.state_dir / "cache");
  return open;
}

}  // namespace

OpenRepository open_repository(const Session& session, const std::string& url, const CredentialSources& sources,
                               const std::stop_token& stop) {
  return open_on(open_storage(session, url), session, sources, stop);
}

OpenRepository open_directly(const Session& session, const std::string& url, const CredentialSources& sources,
                             const std::stop_token& stop) {
  return open_on(storage::open_storage(url), session, sources, stop);
}

OpenRepository open_directly(const Session& session, const std::stop_token& stop) {
  return open_directly(session, need_repository_url(session), credential_sources(session, stop), stop);
}

OpenRepository open_repository(const Session& session, const std::stop_token& stop) {
  return open_repository(session, need_repository_url(session), credential_sources(session, stop), stop);
}

}  // namespace icecore::cli
