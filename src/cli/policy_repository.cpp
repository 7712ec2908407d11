// SPDX-License-Identifier: Apache-2.0
#include "cli/policy_repository.hpp"

namespace icecore::cli {

namespace {

Session with_staging_of(const Session& given, const policy::Policy& policy) {
  Session session = given;
  if (!policy.staging) return session;
  session.options.staging_dir = policy.staging->folder.empty() ? staging_dir(given) : policy.staging->folder;
  if (policy.staging->bytes_max > 0) session.options.staging_bytes_max = policy.staging->bytes_max;
  return session;
}

CredentialSources sources_of(const Session& session, const policy::Policy& policy, const std::stop_token& stop) {
  CredentialSources sources = credential_sources(session, stop);
  if (!policy.repository.key_file.empty()) sources.key_file = policy.repository.key_file;
  if (!policy.repository.passphrase_file.empty()) {
    sources.key_file.clear();
    sources.passphrase_file = policy.repository.passphrase_file;
  }
  return sources;
}

}  // namespace

OpenRepository open_policy_repository(const Session& given, const policy::Policy& policy, const std::stop_token& stop) {
  const Session session = with_staging_of(given, policy);
  return open_repository(session, policy.repository.url, sources_of(session, policy, stop), stop);
}

OpenRepository open_policy_directly(const Session& session, const policy::Policy& policy, const std::stop_token& stop) {
  return open_directly(session, policy.repository.url, sources_of(session, policy, stop), stop);
}

OpenRepository open_policy_to_look(const Session& given, const policy::Policy& policy, const std::stop_token& stop) {
  const Session session = with_staging_of(given, policy);
  return open_to_look(session, policy.repository.url, sources_of(session, policy, stop), stop);
}

}  // namespace icecore::cli
