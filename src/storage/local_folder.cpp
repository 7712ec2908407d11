// SPDX-License-Identifier: Apache-2.0
#include "storage/local_folder.hpp"

#include <system_error>

#include "base/durable_file.hpp"
#include "base/error.hpp"

namespace icecore::storage {

using base::Fault;

namespace {

constexpr std::string_view k_temp_mark = ".tmp-";

std::uint64_t total_size(std::span<const base::ByteView> parts) {
  std::uint64_t size = 0;
  for (const base::ByteView part : parts) size += part.size();
  return size;
}

}  // namespace

LocalFolder::LocalFolder(std::filesystem::path root) : root_(std::move(root)) {
  std::error_code error;
  if (!std::filesystem::is_directory(root_, error)) {
    base::fail(error && error != std::errc::no_such_file_or_directory ? Fault::denied : Fault::not_found,
               "there is no folder '{}'", root_.string());
  }
}

std::filesystem::path LocalFolder::path_of(const std::string& name) const { return root_ / name; }

void LocalFolder::put(const std::string& name, std::span<const base::ByteView> parts) {
  const std::filesystem::path path = path_of(name);
  std::error_code missing;
  const std::uintmax_t size = std::filesystem::file_size(path, missing);
  if (!missing) {
    if (size == total_size(parts)) return;
    base::fail(Fault::conflict, "object '{}' exists in '{}' with {} bytes instead of {}", name, url(), size,
               total_size(parts));
  }
  base::create_folders(path.parent_path());
  base::write_durably(path, parts);
}

void LocalFolder::replace(const std::string& name, base::ByteView bytes) {
  base::create_folders(path_of(name).parent_path());
  base::write_durably(path_of(name), bytes);
}

base::Bytes LocalFolder::get(const std::string& name, std::uint64_t size_max) {
  return base::read_file(path_of(name), size_max);
}

base::Bytes LocalFolder::get_range(const std::string& name, std::uint64_t offset, std::size_t length) {
  return base::read_file_range(path_of(name), offset, length);
}

bool LocalFolder::exists(const std::string& name) { return std::filesystem::exists(path_of(name)); }

std::optional<std::uint64_t> LocalFolder::size_of(const std::string& name) {
  std::error_code missing;
  const std::uintmax_t size = std::filesystem::file_size(path_of(name), missing);
  return missing ? std::nullopt : std::optional<std::uint64_t>(size);
}

std::vector<ObjectInfo> LocalFolder::list(const std::string& folder) {
  std::vector<ObjectInfo> objects;
  std::error_code error;
  std::filesystem::recursive_directory_iterator at(root_ / folder, error);
  if (error == std::errc::no_such_file_or_directory) return objects;
  for (const std::filesystem::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
    const bool temporary = at->path().filename().string().find(k_temp_mark) != std::string::npos;
    std::error_code vanished;  // removed since its name was read: as if listed a moment later
    if (temporary || !at->is_regular_file(vanished)) continue;
    const std::uintmax_t size = at->file_size(vanished);
    if (!vanished) objects.push_back({at->path().lexically_relative(root_).string(), size});
  }
  if (error) base::fail_errno(error.value(), "list '" + (root_ / folder).string() + "'");
  return objects;
}

std::vector<std::string> LocalFolder::entries() {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator at(root_, error), end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename());
  }
  if (error) base::fail_errno(error.value(), "list '" + root_.string() + "'");
  return names;
}

void LocalFolder::remove(const std::string& name) {
  std::error_code error;
  std::filesystem::remove(path_of(name), error);
  if (error) base::fail_errno(error.value(), "remove '" + path_of(name).string() + "'");
}

}  // namespace icecore::storage
