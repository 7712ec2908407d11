// SPDX-License-Identifier: Apache-2.0
// A policy: which domains to back up, how, to where, and how long to keep the points. Plain values; reading
// them from a file is policy_file.hpp's part.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "job/backup.hpp"
#include "policy/retention.hpp"
#include "staging/uploader.hpp"

namespace icecore::policy {

// Which domains a policy means, by name or glob (`*`, `?`, `[a-z]`; upper and lower case differ).
struct DomainRules {
  std::vector<std::string> include;  // at least one
  std::vector<std::string> exclude;  // wins over include
  bool group = false;                // all of them at one instant
};

struct RepositoryPlace {
  std::string url;  // absolute path, file:///path or sftp://[user@]host[:port]/path
  // At most one is set; with neither the command line and the environment say how to unlock it.
  std::filesystem::path key_file;
  std::filesystem::path passphrase_file;
};

// Where backups wait for their upload. An element without attributes stages a local repository too.
struct Staging {
  std::filesystem::path folder;  // empty: the default
  std::uint64_t bytes_max = 0;   // 0: the default
};

struct Policy {
  std::string name;
  DomainRules domains;
  job::BackupOptions backup;
  RepositoryPlace repository;
  std::optional<Staging> staging;
  staging::UploadOptions upload;
  bool wait_for_upload = true;
  Retention retention;
};

// Whether a name is meant by a glob.
bool fits(const std::string& glob, const std::string& name);
bool matches(const DomainRules& rules, const std::string& domain);

struct Match {
  std::vector<std::string> domains;         // in the order given
  std::vector<std::string> unused_include;  // rules that mean no domain: a typing mistake, or a domain gone
};

Match matches(const Policy& policy, const std::vector<std::string>& domains);

}  // namespace icecore::policy
