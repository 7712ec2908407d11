// SPDX-License-Identifier: Apache-2.0
// What unlocks a repository: a key file or a passphrase. A key file is one line, "icecore-key-v1 " and 64
// hex digits, readable by its owner only; 64 bare hex digits, 32 raw bytes and a recovery sheet's lines
// (key_lines.hpp) are accepted too.
#pragma once

#include <filesystem>
#include <variant>

#include "repository/secret.hpp"

namespace icecore::repository {

struct KeyFile {
  std::filesystem::path path;
};
struct Passphrase {
  Secret text;
};
// A key that is in no file, as it would be in one.
struct KeyBytes {
  Secret key;
};
// monostate: none, for repositories without encryption.
using Credential = std::variant<std::monostate, KeyFile, Passphrase, KeyBytes>;

// Writes a new random key, mode 0600. Fault::conflict when something is at `path` already.
void create_key_file(const std::filesystem::path& path);

// The 32 key bytes. Fault::denied when others than the owner may read or write the file; Fault::usage
// when it is not a key file.
Secret read_key_file(const std::filesystem::path& path);

}  // namespace icecore::repository
