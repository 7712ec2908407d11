// SPDX-License-Identifier: Apache-2.0
#include "storage/local_folder.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/shell_word.hpp"
#include "storage/temporary_name.hpp"

namespace icecore::storage {

using base::Fault;

namespace {

std::uint64_t total_size(std::span<const base::ByteView> parts) {
  std::uint64_t size = 0;
  for (const base::ByteView part : parts) size += part.size();
  return size;
}

// The device a folder lies on; the '.' makes an automounter act. Nothing when there is no such folder.
std::optional<dev_t> device_of(const std::filesystem::path& folder) {
  struct stat info {};
  if (::stat((folder / ".").c_str(), &info) == 0) return info.st_dev;
  if (errno != ENOENT && errno != ENOTDIR) base::fail_errno(errno, "look at '" + folder.string() + "'");
  return std::nullopt;
}

// The same hints as of a folder on a server.
void require_folder(const std::filesystem::path& root) {
  std::error_code failure;
  const std::filesystem::file_status status = std::filesystem::status(root, failure);
  if (std::filesystem::is_directory(status)) return;
  if (status.type() == std::filesystem::file_type::not_found) {
    throw base::Error(Fault::not_found, fmt::format("there is no folder '{}'", root.string()))
        .add_hint("icecore init -r " + base::shell_word(root.string()));
  }
  if (failure) base::fail_errno(failure.value(), "look at '" + root.string() + "'");
  throw base::Error(Fault::not_found, fmt::format("'{}' is no folder", root.string())).add_hint("name a folder");
}

// Nothing when there is no such file. What cannot be looked at is not missing: a prune would not know what it needs.
std::optional<std::uint64_t> size_unless_gone(const std::filesystem::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) == 0) {
    return S_ISREG(info.st_mode) ? std::optional(static_cast<std::uint64_t>(info.st_size)) : std::nullopt;
  }
  if (errno != ENOENT && errno != ENOTDIR) base::fail_errno(errno, "look at '" + file.string() + "'");
  return std::nullopt;
}

bool is_mount_point(const std::filesystem::path& folder) { return device_of(folder) != device_of(folder / ".."); }

}  // namespace

LocalFolder::LocalFolder(std::filesystem::path root) : root_(std::move(root)) {
  require_folder(root_);
  was_mounted_ = is_mount_point(root_);
}

// What is asked of a disk that is not mounted any more must neither be written below its mount point nor be missed.
void LocalFolder::expect_root() const {
  if (!device_of(root_)) base::fail(Fault::unavailable, "the folder '{}' is gone; is its disk mounted?", url());
  if (was_mounted_ && !is_mount_point(root_))
    base::fail(Fault::unavailable, "nothing is mounted at '{}' any more", url());
}

std::filesystem::path LocalFolder::file_of(const std::string& name) const { return root_ / name; }

void LocalFolder::put(const std::string& name, std::span<const base::ByteView> parts) {
  expect_root();
  const std::filesystem::path path = file_of(name);
  if (const auto size = size_unless_gone(path)) {
    if (*size == total_size(parts)) return base::sync_folder(path.parent_path());  // who wrote it may have died before
    base::fail(Fault::conflict, "object '{}' exists in '{}' with {} bytes instead of {}", name, url(), *size,
               total_size(parts));
  }
  base::create_folders(path.parent_path());
  base::write_durably(path, parts);
}

void LocalFolder::replace(const std::string& name, base::ByteView bytes) {
  expect_root();
  base::create_folders(file_of(name).parent_path());
  base::write_durably(file_of(name), bytes);
}

base::Bytes LocalFolder::get(const std::string& name, std::uint64_t size_max) {
  expect_root();
  return base::read_file(file_of(name), size_max);
}

base::Bytes LocalFolder::get_range(const std::string& name, std::uint64_t offset, std::size_t length) {
  expect_root();
  return base::read_file_range(file_of(name), offset, length);
}

bool LocalFolder::exists(const std::string& name) {
  expect_root();
  return size_unless_gone(file_of(name)).has_value();
}

std::optional<std::uint64_t> LocalFolder::size_of(const std::string& name) {
  expect_root();
  return size_unless_gone(file_of(name));
}

std::vector<ObjectInfo> LocalFolder::list(const std::string& folder) {
  expect_root();
  std::vector<ObjectInfo> objects;
  std::error_code error;
  std::filesystem::recursive_directory_iterator at(root_ / folder, error);
  if (error == std::errc::no_such_file_or_directory) return objects;
  for (const std::filesystem::recursive_directory_iterator end; !error && at != end; at.increment(error)) {
    if (is_temporary(at->path().filename().string())) continue;
    // Removed since its name was read: as if listed a moment later.
    if (const auto size = size_unless_gone(at->path()))
      objects.push_back({at->path().lexically_relative(root_).string(), *size});
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
  expect_root();
  std::error_code error;
  std::filesystem::remove(file_of(name), error);
  if (error) base::fail_errno(error.value(), "remove '" + file_of(name).string() + "'");
}

std::size_t LocalFolder::remove_leftovers(std::span<const std::string> folders, std::chrono::seconds age) {
  namespace fs = std::filesystem;
  expect_root();
  std::vector<std::pair<fs::path, fs::file_time_type>> temporaries;
  fs::file_time_type newest = fs::file_time_type::min();
  std::error_code error;
  for (const std::string& folder : folders) {
    for (fs::recursive_directory_iterator at(root_ / folder, error), end; !error && at != end; at.increment(error)) {
      std::error_code gone;
      const fs::file_time_type changed = at->last_write_time(gone);
      if (gone || !at->is_regular_file(gone)) continue;
      newest = std::max(newest, changed);
      if (is_temporary(at->path().filename().string())) temporaries.emplace_back(at->path(), changed);
    }
  }
  std::size_t removed = 0;
  for (const auto& [path, changed] : temporaries) {
    if (newest - changed >= age && fs::remove(path, error)) ++removed;
  }
  return removed;
}

}  // namespace icecore::storage
