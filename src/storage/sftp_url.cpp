// SPDX-License-Identifier: Apache-2.0
#include "storage/sftp_url.hpp"

#include <algorithm>
#include <charconv>

#include "base/bytes.hpp"
#include "base/error.hpp"

namespace icecore::storage {

using base::Fault;

namespace {

constexpr std::string_view k_scheme = "sftp://";
constexpr std::string_view k_home = "/~";

[[noreturn]] void refuse(const std::string& text, std::string_view reason) {
  throw base::Error(Fault::usage, fmt::format("'{}' {}", text, reason))
      .add_hint("sftp://[USER@]HOST[:PORT]/PATH, or /~/PATH below the home folder");
}

// Before anything of the URL may be printed. No path holds an '@' that belongs to a user.
void refuse_password(std::string_view authority) {
  const std::size_t at = authority.rfind('@');
  if (at == std::string_view::npos || authority.substr(0, at).find(':') == std::string_view::npos) return;
  throw base::Error(Fault::usage, "the URL holds a password, which everybody on this host could read")
      .add_hint("take it out, and name a file that holds it: ICECORE_SSH_PASSWORD_FILE=FILE");
}

std::string decoded(std::string_view part, const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < part.size(); ++i) {
    if (part[i] != '%') {
      out += part[i];
      continue;
    }
    if (part.size() - i < 3 || !std::isxdigit(part[i + 1]) || !std::isxdigit(part[i + 2])) {
      refuse(text, "has a '%' that is no %XX");
    }
    std::string lower(part.substr(i + 1, 2));
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char at) { return std::tolower(at); });
    out += static_cast<char>(base::from_hex(lower).front());
    i += 2;
  }
  if (std::any_of(out.begin(), out.end(), [](unsigned char at) { return at < ' ' || at == 0x7f; })) {
    base::fail(Fault::usage, "the sftp:// URL holds a control character");
  }
  return out;
}

int parse_port(std::string_view digits, const std::string& text) {
  int port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port < 1 || port > 65535) {
    refuse(text, "has no port from 1 to 65535 behind the host");
  }
  return port;
}

// HOST, HOST:PORT, [ADDRESS] or [ADDRESS]:PORT.
void parse_host(std::string_view place, SftpUrl& url) {
  std::string_view rest;
  if (place.starts_with('[')) {
    const std::size_t end = place.find(']');
    if (end == std::string_view::npos) refuse(url.text, "opens a '[' that it does not close");
    url.host = place.substr(1, end - 1);
    rest = place.substr(end + 1);
  } else {
    const std::size_t end = std::min(place.find(':'), place.size());
    url.host = decoded(place.substr(0, end), url.text);
    rest = place.substr(end);
  }
  if (url.host.empty() || url.host.starts_with('-')) refuse(url.text, "names no host");
  if (rest.empty()) return;
  if (rest.front() != ':') refuse(url.text, "has something behind the host's ']'");
  url.port = parse_port(rest.substr(1), url.text);
}

std::string server_path(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (path == k_home) return ".";
  if (path.starts_with("/~/")) return path.substr(3);
  return path;
}

}  // namespace

bool is_sftp_url(std::string_view text) noexcept { return text.starts_with(k_scheme); }

SftpUrl parse_sftp_url(const std::string& text) {
  const std::string_view rest = std::string_view(text).substr(k_scheme.size());
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view authority = rest.substr(0, slash);
  // A password with a '/' in it would make the rest of it look like a path.
  refuse_password(rest.find('@', slash) == std::string_view::npos ? authority : rest);
  SftpUrl url;
  url.text = text;
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    url.user = decoded(authority.substr(0, at), text);
    if (url.user.empty()) refuse(text, "names no user before the '@'");
    authority.remove_prefix(at + 1);
  }
  parse_host(authority, url);
  if (slash == rest.size()) refuse(text, "has no path");
  url.path = server_path(decoded(rest.substr(slash), text));
  return url;
}

}  // namespace icecore::storage
