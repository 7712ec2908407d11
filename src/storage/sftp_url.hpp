// SPDX-License-Identifier: Apache-2.0
// sftp://[USER@]HOST[:PORT]/PATH. The path is absolute; /~/PATH lies below the account's home folder.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace icecore::storage {

struct SftpUrl {
  std::string text;  // as it was given; holds no secret
  std::string user;  // empty: not named
  std::string host;  // a name, an alias of ~/.ssh/config, or an address without brackets
  std::optional<int> port;
  std::string path;  // as the server takes it: "/srv/backups", or relative to the home folder: "backups", "."
};

bool is_sftp_url(std::string_view text) noexcept;

// Throws Fault::usage; a password in the URL is refused too, and never repeated.
SftpUrl parse_sftp_url(const std::string& text);

}  // namespace icecore::storage
