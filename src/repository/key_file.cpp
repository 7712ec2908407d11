// SPDX-License-Identifier: Apache-2.0
#include "repository/key_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/private_file.hpp"
#include "repository/key_lines.hpp"
#include "repository/key_ring.hpp"

namespace icecore::repository {

using base::Fault;

namespace {

constexpr std::string_view k_prefix = "icecore-key-v1 ";
constexpr std::size_t k_file_bytes_max = 64 * base::k_kib;  // a whole recovery sheet

// All of it, or as much as shows that it is too long.
Secret read_all(int fd, const std::filesystem::path& path) {
  Secret content(k_file_bytes_max + 1);
  std::size_t size = 0;
  while (size < content.size()) {
    const ssize_t count = ::read(fd, content.span().data() + size, content.size() - size);
    if (count < 0) base::fail_errno(errno, "key file '" + path.string() + "'");
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  return Secret::copy_of(content.view().first(size));
}

std::string_view trimmed(std::string_view text) {
  if (text.starts_with(k_prefix)) text.remove_prefix(k_prefix.size());
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.remove_suffix(1);
  return text;
}

Secret parse_key(base::ByteView content) {
  if (content.size() == k_key_bytes) return Secret::copy_of(content);
  const std::string_view text(reinterpret_cast<const char*>(content.data()), content.size());
  const std::string_view hex = trimmed(text);
  const bool digits = std::all_of(hex.begin(), hex.end(), [](unsigned char c) { return std::isxdigit(c) != 0; });
  if (hex.size() != 2 * k_key_bytes || !digits) {
    if (std::optional<Secret> typed = parse_key_lines(text)) return std::move(*typed);
    base::fail(Fault::usage, "this is not an icecore key file");
  }
  base::Bytes bytes = base::from_hex(hex);
  Secret key = Secret::copy_of(bytes);
  wipe(bytes);
  return key;
}

}  // namespace

void create_key_file(const std::filesystem::path& path) {
  if (std::filesystem::exists(path))
    base::fail(Fault::conflict, "'{}' exists already and is left as it is", path.string());
  const Secret key = Secret::random(k_key_bytes);
  std::string text = std::string(k_prefix) + base::to_hex(key.view()) + "\n";
  base::write_durably(path, base::as_bytes(text), 0600);
  wipe(std::as_writable_bytes(std::span(text)));
}

Secret read_key_file(const std::filesystem::path& path) {
  const base::Fd fd = base::with_context([&] { return base::open_file(path, O_RDONLY); }, "key file");
  base::refuse_open_to_others(fd.get(), path, "key file");
  const Secret content = read_all(fd.get(), path);
  return base::with_context([&] { return parse_key(content.view()); }, "key file '{}'", path.string());
}

}  // namespace icecore::repository
