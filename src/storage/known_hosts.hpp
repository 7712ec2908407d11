// SPDX-License-Identifier: Apache-2.0
// Whether a host's key is the one we know it by: ~/.ssh/known_hosts as in sshd(8), plain and hashed names, patterns,
// "[host]:port", "@revoked". Nothing but learn_host_key() ever writes to one.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"

namespace icecore::storage {

struct HostKey {
  std::string type;  // "ssh-ed25519"
  base::Bytes blob;  // as in the protocol
};

enum class HostKeyVerdict {
  known,
  unknown,  // no line names this host
  changed,  // lines name this host, with other keys
  revoked,  // a line says that this very key must not be trusted
};

class KnownHosts {
 public:
  // Files that do not exist are empty. Throws Fault::denied for one that cannot be read.
  static KnownHosts load(const std::vector<std::filesystem::path>& files);
  // Adds the lines of one file.
  void add(std::string_view text);

  // The key types known of a host, in no particular order: to ask the server for one of those.
  std::vector<std::string> key_types(const std::string& host, int port) const;
  HostKeyVerdict judge(const std::string& host, int port, const HostKey& key) const;

 private:
  struct Line {
    bool revoked = false;
    std::vector<std::string> hosts;  // patterns, or one "|1|SALT|HASH"
    std::string type;
    std::string key;  // base64
  };
  static bool names(const Line& line, const std::string& name);
  std::vector<Line> lines_;
};

// Appends the key to the file, making it and its folder (modes 0600, 0700) where missing. A link is followed; what is
// there and no regular file (/dev/null) is Fault::usage and left alone.
void learn_host_key(const std::filesystem::path& file, const std::string& host, int port, const HostKey& key);

std::string to_base64(base::ByteView bytes);

}  // namespace icecore::storage
