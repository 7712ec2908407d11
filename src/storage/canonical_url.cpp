// SPDX-License-Identifier: Apache-2.0
#include "storage/canonical_url.hpp"

#include <fmt/core.h>

#include <filesystem>

#include "base/error.hpp"
#include "storage/ssh_target.hpp"
#include "storage/storage.hpp"

namespace icecore::storage {

namespace {

constexpr int k_default_port = 22;

// ".." stays: behind a symbolic link only the server knows where it leads.
std::string plain_path(const std::string& path) {
  std::string plain = path.starts_with('/') ? "" : "/~";
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t slash = std::min(path.find('/', at), path.size());
    const std::string name = path.substr(at, slash - at);
    if (!name.empty() && name != ".") plain += "/" + name;
    at = slash + 1;
  }
  return plain.empty() ? "/" : plain;
}

std::string encoded(const std::string& text, std::string_view special) {
  std::string out;
  for (const char c : text) {
    out += special.find(c) == std::string_view::npos ? std::string(1, c)
                                                     : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string canonical_sftp_url(const std::string& text) {
  const SftpUrl url = parse_sftp_url(text);
  const SshHostConfig host = resolve_ssh_target(url, /*accept_new_host_key=*/false).host;
  const bool address = url.host.find(':') != std::string::npos;
  const std::string place = address ? "[" + url.host + "]" : encoded(url.host, "%/:@[");
  const std::string port = host.port.value_or(k_default_port) == k_default_port ? "" : fmt::format(":{}", *host.port);
  return fmt::format("sftp://{}@{}{}{}", encoded(host.user, "%/:@"), place, port, encoded(plain_path(url.path), "%"));
}

std::string canonical_path(std::string path) {
  path = std::filesystem::absolute(path).lexically_normal();
  if (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

}  // namespace

std::string canonical_url(const std::string& url) {
  constexpr std::string_view k_file_scheme = "file://";
  try {
    if (is_sftp_url(url)) return canonical_sftp_url(url);
  } catch (const base::Error&) {
    return url;
  }
  if (url.starts_with(k_file_scheme)) return canonical_path(url.substr(k_file_scheme.size()));
  return url.empty() || url.find("://") != std::string::npos ? url : canonical_path(url);
}

}  // namespace icecore::storage
