// SPDX-License-Identifier: Apache-2.0
#include "storage/storage.hpp"

#include <filesystem>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "storage/local_folder.hpp"

namespace icecore::storage {

namespace {

std::filesystem::path local_path(const std::string& url) {
  constexpr std::string_view k_file_scheme = "file://";
  if (url.starts_with(k_file_scheme)) return url.substr(k_file_scheme.size());
  if (const auto colon = url.find("://"); colon != std::string::npos) {
    base::fail(base::Fault::usage, "'{}' is no storage this version knows; use a path or file:///path",
               url.substr(0, colon + 3));
  }
  return url;
}

}  // namespace

std::optional<std::uint64_t> Storage::size_of(const std::string& name) {
  for (const ObjectInfo& object : list(name.substr(0, name.rfind('/')))) {
    if (object.name == name) return object.size;
  }
  return std::nullopt;
}

std::unique_ptr<Storage> open_storage(const std::string& url, bool create) {
  const std::filesystem::path path = std::filesystem::absolute(local_path(url));
  if (create) base::create_folders(path);
  return std::make_unique<LocalFolder>(path);
}

}  // namespace icecore::storage
