// SPDX-License-Identifier: Apache-2.0
#include "storage/storage.hpp"

#include <cstdlib>
#include <filesystem>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "storage/local_folder.hpp"
#include "storage/sftp_storage.hpp"

namespace icecore::storage {

using base::Fault;

namespace {

constexpr unsigned k_connections_max = 64;

std::filesystem::path local_path(const std::string& url) {
  constexpr std::string_view k_file_scheme = "file://";
  if (url.starts_with(k_file_scheme)) return url.substr(k_file_scheme.size());
  if (const auto colon = url.find("://"); colon != std::string::npos) {
    base::fail(Fault::usage, "'{}' is no storage this version knows; use a path, file:///path or sftp://host/path",
               url.substr(0, colon + 3));
  }
  return url;
}

}  // namespace

unsigned sftp_connections() {
  const char* text = std::getenv("ICECORE_SFTP_CONNECTIONS");
  if (text == nullptr || *text == '\0') return SftpSettings().connections;
  char* end = nullptr;
  const unsigned long count = std::strtoul(text, &end, 10);
  if (*end != '\0' || count < 1 || count > k_connections_max) {
    base::fail(Fault::usage, "ICECORE_SFTP_CONNECTIONS is '{}' and not a number from 1 to {}", text, k_connections_max);
  }
  return static_cast<unsigned>(count);
}

std::optional<std::uint64_t> Storage::size_of(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  if (slash == std::string::npos) return exists(name) ? std::optional<std::uint64_t>(get(name).size()) : std::nullopt;
  for (const ObjectInfo& object : list(name.substr(0, slash))) {
    if (object.name == name) return object.size;
  }
  return std::nullopt;
}

std::vector<std::optional<std::uint64_t>> Storage::sizes_of(const std::vector<std::string>& names) {
  std::vector<std::optional<std::uint64_t>> sizes;
  for (const std::string& name : names) sizes.push_back(size_of(name));
  return sizes;
}

void Storage::put_file(const std::string& name, const std::filesystem::path& file) { put(name, base::read_file(file)); }

void Storage::put_files(const NextFile& next, const FileStored& stored) {
  while (const std::optional<NamedFile> file = next()) {
    put_file(file->name, file->file);
    stored(file->name);
  }
}

std::unique_ptr<PreparedFile> Storage::prepare_file(const std::string& name, const std::filesystem::path& file) {
  struct Unprepared final : PreparedFile {
    Unprepared(Storage& to, NamedFile what) : storage(to), file(std::move(what)) {}
    void store() override { storage.put_file(file.name, file.file); }
    Storage& storage;
    NamedFile file;
  };
  return std::make_unique<Unprepared>(*this, NamedFile{name, file});
}

std::size_t Storage::remove_leftovers(std::span<const std::string>, std::chrono::seconds) { return 0; }

std::unique_ptr<Storage> open_storage(const std::string& url, const StorageOptions& options) {
  if (is_sftp_url(url)) {
    SftpSettings settings{.create = options.create, .accept_new_host_key = options.accept_new_host_key};
    settings.deadlines.stop = options.stop;
    settings.connected_ahead = options.connected_ahead;
    settings.connections = options.connections != 0 ? options.connections : sftp_connections();
    return std::make_unique<SftpStorage>(parse_sftp_url(url), settings);
  }
  const std::filesystem::path path = std::filesystem::absolute(local_path(url));
  if (options.create) base::create_folders(path);
  return std::make_unique<LocalFolder>(path);
}

std::unique_ptr<Storage> open_storage(const std::string& url, bool create) {
  return open_storage(url, StorageOptions{.create = create});
}

Remedy remedy_of(Fault fault) noexcept {
  switch (fault) {
    case Fault::unavailable:
    case Fault::busy: return Remedy::retry;
    case Fault::no_space:
    case Fault::denied: return Remedy::wait;
    case Fault::usage:
    case Fault::not_found:
    case Fault::corrupt:
    case Fault::conflict:
    case Fault::cancelled:
    case Fault::internal: return Remedy::none;
  }
  return Remedy::none;
}

}  // namespace icecore::storage
