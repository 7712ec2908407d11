// SPDX-License-Identifier: Apache-2.0
#include "cli/policy_repository.hpp"

namespace icecore::cli {

OpenRepository open_policy_repository(const Session& given, const policy::Policy& policy, const std::stop_token& stop) {
  Session session = given;
  if (policy.staging) {
    session.options.staging_dir = policy.staging->folder.empty() ? staging_dir(given) : policy.staging->folder;
    if (policy.staging->bytes_max > 0) session.options.staging_bytes_max = policy.staging->bytes_max;
  }
  CredentialSources sources = credential_sources(session, stop);
  if (!policy.repository.key_file.empty()) sources.key_file = policy.repository.key_file;
  if (!policy.repository.passphrase_file.empty()) {
    sources.key_file.clear();
    sources.passphrase_file = policy.repository.passphrase_file;
  }
  return open_repository(session, policy.repository.url, sources, stop);
}

}  // namespace icecore::cli
