// SPDX-License-Identifier: Apache-2.0
// Whose a file is, by names: numbers mean somebody else on another host.
#pragma once

#include <filesystem>
#include <string>

namespace icecore::job {

struct FileOwner {
  unsigned mode = 0;  // permission bits
  std::string user;   // a number where the host has no name for it
  std::string group;
  bool operator==(const FileOwner&) const = default;
};

// Of an open file; `path` is for messages.
FileOwner owner_of(int fd, const std::filesystem::path& path);
FileOwner owner_of(const std::filesystem::path& path);

// Makes the file theirs and sets its mode (0: leaves that). Without root's rights, or on a host that does not know user
// or group, the file keeps those it has, and false is returned.
bool give_to(const FileOwner& owner, const std::filesystem::path& path);

}  // namespace icecore::job
