// SPDX-License-Identifier: Apache-2.0
#include "job/file_owner.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <optional>

#include "base/durable_file.hpp"
#include "base/error.hpp"

namespace icecore::job {

namespace {

using NameBuffer = std::array<char, 16 * 1024>;

std::string user_name(uid_t uid) {
  passwd entry{};
  passwd* found = nullptr;
  NameBuffer buffer{};
  ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  return found == nullptr ? std::to_string(uid) : found->pw_name;
}

std::string group_name(gid_t gid) {
  group entry{};
  group* found = nullptr;
  NameBuffer buffer{};
  ::getgrgid_r(gid, &entry, buffer.data(), buffer.size(), &found);
  return found == nullptr ? std::to_string(gid) : found->gr_name;
}

std::optional<unsigned> as_number(const std::string& text) {
  unsigned number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<uid_t> find_user(const std::string& name) {
  passwd entry{};
  passwd* found = nullptr;
  NameBuffer buffer{};
  ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  return found == nullptr ? as_number(name) : std::optional(found->pw_uid);
}

std::optional<gid_t> find_group(const std::string& name) {
  group entry{};
  group* found = nullptr;
  NameBuffer buffer{};
  ::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  return found == nullptr ? as_number(name) : std::optional(found->gr_gid);
}

}  // namespace

FileOwner owner_of(int fd, const std::filesystem::path& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) base::fail_errno(errno, "stat '" + path.string() + "'");
  return {.mode = info.st_mode & 07777U, .user = user_name(info.st_uid), .group = group_name(info.st_gid)};
}

FileOwner owner_of(const std::filesystem::path& path) {
  return owner_of(base::open_file(path, O_RDONLY | O_NONBLOCK).get(), path);
}

bool give_to(const FileOwner& owner, const std::filesystem::path& path) {
  const base::Fd fd = base::open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  const std::optional<uid_t> user = find_user(owner.user);
  const std::optional<gid_t> group = find_group(owner.group);
  const bool given = user && group && ::fchown(fd.get(), *user, *group) == 0;
  if (user && group && !given && errno != EPERM) base::fail_errno(errno, "change the owner of '" + path.string() + "'");
  // After the owner: a change of that takes set-user-id bits away.
  if (owner.mode != 0 && ::fchmod(fd.get(), owner.mode) != 0)
    base::fail_errno(errno, "change the permissions of '" + path.string() + "'");
  return given;
}

}  // namespace icecore::job
