// SPDX-License-Identifier: Apache-2.0
#include "storage/known_hosts.hpp"

#include <fcntl.h>
#include <libssh2.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <sstream>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/handle.hpp"
#include "storage/ssh_config.hpp"

namespace icecore::storage {

namespace {

constexpr int k_default_port = 22;
constexpr std::uint64_t k_file_bytes_max = 64 * base::k_mib;

std::string name_of(const std::string& host, int port) {
  return port == k_default_port ? host : fmt::format("[{}]:{}", host, port);
}

// Only libssh2 has the SHA-1 that hashed names are made with: it is given the line, and asked with the line's own key.
bool hash_names(const std::string& hash, const std::string& type, const std::string& key, const std::string& name) {
  using Session = std::unique_ptr<LIBSSH2_SESSION, base::FreeWith<&libssh2_session_free>>;
  using Hosts = std::unique_ptr<LIBSSH2_KNOWNHOSTS, base::FreeWith<&libssh2_knownhost_free>>;
  const Session session(libssh2_session_init());
  const Hosts hosts(session ? libssh2_knownhost_init(session.get()) : nullptr);
  if (!hosts) throw std::bad_alloc();
  const std::string line = hash + " " + type + " " + key;
  if (libssh2_knownhost_readline(hosts.get(), line.data(), line.size(), LIBSSH2_KNOWNHOST_FILE_OPENSSH) != 0) {
    return false;
  }
  return libssh2_knownhost_checkp(hosts.get(), name.c_str(), -1, key.data(), key.size(),
                                  LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_BASE64,
                                  nullptr) == LIBSSH2_KNOWNHOST_CHECK_MATCH;
}

std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

// A file, a link to one, or nothing yet: a device is no place for keys.
void expect_regular(const std::filesystem::path& file, const std::string& name) {
  std::error_code missing;
  const std::filesystem::file_status found = std::filesystem::status(file, missing);
  if (!std::filesystem::exists(found) || std::filesystem::is_regular_file(found)) return;
  throw base::Error(base::Fault::usage,
                    fmt::format("the host key of '{}' cannot be remembered: '{}' is no file", name, file.string()))
      .add_hint("name a file for it in ~/.ssh/config: UserKnownHostsFile ~/.ssh/known_hosts");
}

}  // namespace

KnownHosts KnownHosts::load(const std::vector<std::filesystem::path>& files) {
  KnownHosts known;
  for (const std::filesystem::path& file : files) {
    std::error_code error;
    if (std::filesystem::is_regular_file(file, error))
      known.add(base::to_string(base::read_file(file, k_file_bytes_max)));
  }
  return known;
}

void KnownHosts::add(std::string_view text) {
  std::istringstream lines{std::string(text)};
  for (std::string row; std::getline(lines, row);) {
    std::istringstream words(row);
    std::string hosts;
    words >> hosts;
    if (hosts.empty() || hosts.front() == '#') continue;
    Line line;
    if (hosts.front() == '@') {
      if (hosts != "@revoked") continue;  // certificates are not understood here
      line.revoked = true;
      words >> hosts;
    }
    if (!(words >> line.type >> line.key)) continue;
    line.hosts = split_at_commas(hosts);
    lines_.push_back(std::move(line));
  }
}

bool KnownHosts::names(const Line& line, const std::string& name) {
  if (line.hosts.size() == 1 && line.hosts.front().starts_with('|')) {
    return hash_names(line.hosts.front(), line.type, line.key, name);
  }
  return matches_pattern_list(line.hosts, name);
}

std::vector<std::string> KnownHosts::key_types(const std::string& host, int port) const {
  std::vector<std::string> types;
  for (const Line& line : lines_) {
    if (!line.revoked && names(line, name_of(host, port))) types.push_back(line.type);
  }
  return types;
}

HostKeyVerdict KnownHosts::judge(const std::string& host, int port, const HostKey& key) const {
  const std::string blob = to_base64(key.blob);
  HostKeyVerdict verdict = HostKeyVerdict::unknown;
  for (const Line& line : lines_) {
    if (!names(line, name_of(host, port))) continue;
    if (line.revoked) {
      if (line.key == blob) return HostKeyVerdict::revoked;
    } else if (line.key == blob) {
      verdict = HostKeyVerdict::known;
    } else if (verdict == HostKeyVerdict::unknown && (line.type == key.type || line.type != "ssh-rsa")) {
      // libssh2 cannot check today's RSA signatures, so an honest server shows another of its keys instead.
      verdict = HostKeyVerdict::changed;
    }
  }
  return verdict;
}

void learn_host_key(const std::filesystem::path& file, const std::string& host, int port, const HostKey& key) {
  expect_regular(file, name_of(host, port));
  base::create_folders(file.parent_path());
  // In place and not by a new file: what stands there may be a link to another, or somebody else's to read.
  const base::Fd fd = base::open_file(file, O_RDWR | O_APPEND | O_CREAT);
  const off_t end = ::lseek(fd.get(), 0, SEEK_END);
  char last = '\n';
  if (end > 0 && ::pread(fd.get(), &last, 1, end - 1) != 1) base::fail_errno(errno, "read '" + file.string() + "'");
  const std::string line =
      fmt::format("{}{} {} {}\n", last == '\n' ? "" : "\n", name_of(host, port), key.type, to_base64(key.blob));
  errno = 0;
  const ssize_t count = ::write(fd.get(), line.data(), line.size());
  if (count != static_cast<ssize_t>(line.size()) || ::fsync(fd.get()) != 0) {
    const int error = count >= 0 && errno == 0 ? ENOSPC : errno;
    [[maybe_unused]] const int cut = ::ftruncate(fd.get(), end);  // half a key would be another key
    base::fail_errno(error, "write '" + file.string() + "'");
  }
  base::sync_folder(file.parent_path());
}

std::string to_base64(base::ByteView bytes) {
  constexpr std::string_view k_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      group = group << 8 | (i < count ? std::to_integer<std::uint32_t>(bytes[at + i]) : 0);
    }
    for (std::size_t i = 0; i < 4; ++i) text += i <= count ? k_digits[group >> (18 - 6 * i) & 63] : '=';
  }
  return text;
}

}  // namespace icecore::storage
