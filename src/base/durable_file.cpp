// SPDX-License-Identifier: Apache-2.0
#include "base/durable_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "base/error.hpp"
#include "base/id.hpp"

namespace icecore::base {

namespace {

constexpr std::size_t k_direct_alignment = 4096;
constexpr std::size_t k_direct_bytes_min = k_mib;

void write_all(int fd, ByteView bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_errno(errno, "write '" + path.string() + "'");
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

// Writes what it can of a large part straight to the device and returns the rest. The page cache would cost
// a copy, evict the guests' pages, and be waited for by the fsync all the same (here: 0.25 GB/s against 1.5).
ByteView write_direct(int fd, ByteView bytes, const std::filesystem::path& path) {
  const bool aligned = reinterpret_cast<std::uintptr_t>(bytes.data()) % k_direct_alignment == 0;
  if (bytes.size() < k_direct_bytes_min || !aligned) return bytes;
  const int flags = ::fcntl(fd, F_GETFL);
  if (::fcntl(fd, F_SETFL, flags | O_DIRECT) != 0) return bytes;  // a file system without
  const ScopeExit back([&] { ::fcntl(fd, F_SETFL, flags); });
  while (bytes.size() >= k_direct_alignment) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size() / k_direct_alignment * k_direct_alignment);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EINVAL) break;  // a device with larger sectors: the caller goes on as usual
    if (count < 0) fail_errno(errno, "write '" + path.string() + "'");
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return bytes;
}

void sync_fd(int fd, const std::filesystem::path& path) {
  if (::fsync(fd) != 0) fail_errno(errno, "fsync '" + path.string() + "'");
}

// Large files that are wholly on the disk: nobody reads them again soon, and page cache that is never given
// back costs more CPU to fill than the write itself, and pushes out what the host's guests use.
void leave_page_cache(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0 || static_cast<std::uint64_t>(info.st_size) < k_mib) return;
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

void read_exactly(int fd, ByteSpan out, std::uint64_t offset, const std::filesystem::path& path) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t count = ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EIO) fail(Fault::corrupt, "the disk fails to read '{}'", path.string());
    if (count < 0) fail_errno(errno, "read '" + path.string() + "'");
    if (count == 0)
      fail(Fault::corrupt, "'{}' is shorter than the {} bytes expected", path.string(), offset + out.size());
    done += static_cast<std::size_t>(count);
  }
}

// In two steps, or where the file system has no links either (FAT) after a look. 0 or an errno.
int link_to_free_name(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::link(from.c_str(), to.c_str()) == 0) return ::unlink(from.c_str()) == 0 ? 0 : errno;
  if (errno == EEXIST || std::filesystem::exists(to)) return EEXIST;
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

}  // namespace

std::uint64_t file_size(int fd, const std::filesystem::path& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) fail_errno(errno, "stat '" + path.string() + "'");
  return static_cast<std::uint64_t>(info.st_size);
}

Fd open_file(const std::filesystem::path& path, int flags, unsigned mode) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) fail_errno(errno, "open '" + path.string() + "'");
  return Fd(fd);
}

void write_durably(const std::filesystem::path& path, std::span<const ByteView> parts, unsigned mode) {
  const std::filesystem::path temp = path.string() + ".tmp-" + random_id(4);
  ScopeExit discard([&] { ::unlink(temp.c_str()); });
  Fd fd = open_file(temp, O_WRONLY | O_CREAT | O_EXCL, mode);
  for (const ByteView part : parts) write_all(fd.get(), write_direct(fd.get(), part, temp), temp);
  sync_fd(fd.get(), temp);
  leave_page_cache(fd.get());
  fd.reset();
  if (::rename(temp.c_str(), path.c_str()) != 0) fail_errno(errno, "rename to '" + path.string() + "'");
  discard.dismiss();
  sync_folder(path.parent_path());
}

void write_durably(const std::filesystem::path& path, ByteView bytes, unsigned mode) {
  write_durably(path, std::span(&bytes, 1), mode);
}

bool is_same_file(const std::filesystem::path& one, const std::filesystem::path& other) {
  std::error_code missing;
  return std::filesystem::equivalent(one, other, missing);
}

bool rename_to_free_name(const std::filesystem::path& from, const std::filesystem::path& to) {
  int why = ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0 ? 0 : errno;
  if (why == EINVAL || why == ENOSYS || why == EOPNOTSUPP) why = link_to_free_name(from, to);
  // It has both names after a death in between.
  if (why == EEXIST && is_same_file(from, to)) why = ::unlink(from.c_str()) == 0 ? 0 : errno;
  if (why == 0) return true;
  if (why == EEXIST) return false;
  fail_errno(why, "rename '" + from.string() + "' to '" + to.string() + "'");
}

void sync_folder(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder.empty() ? "." : folder;
  const Fd fd = open_file(path, O_RDONLY | O_DIRECTORY);
  sync_fd(fd.get(), path);
}

void create_folders(const std::filesystem::path& folder, unsigned mode) {
  if (folder.empty() || std::filesystem::is_directory(folder)) return;
  create_folders(folder.parent_path(), mode);
  if (::mkdir(folder.c_str(), mode) != 0 && errno != EEXIST)
    fail_errno(errno, "create folder '" + folder.string() + "'");
  sync_folder(folder.parent_path());
}

Bytes read_file(const std::filesystem::path& path, std::uint64_t size_max) {
  const Fd fd = open_file(path, O_RDONLY);
  return read_file(fd.get(), path, size_max);
}

Bytes read_file(int fd, const std::filesystem::path& path, std::uint64_t size_max) {
  const std::uint64_t size = file_size(fd, path);
  if (size > size_max)
    fail(Fault::corrupt, "'{}' has {} bytes, more than the {} allowed", path.string(), size, size_max);
  Bytes bytes(size);
  read_exactly(fd, bytes, 0, path);
  return bytes;
}

Bytes read_file_range(const std::filesystem::path& path, std::uint64_t offset, std::size_t length) {
  const Fd fd = open_file(path, O_RDONLY);
  Bytes bytes(length);
  read_exactly(fd.get(), bytes, offset, path);
  return bytes;
}

}  // namespace icecore::base
