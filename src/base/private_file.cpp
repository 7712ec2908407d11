// SPDX-License-Identifier: Apache-2.0
#include "base/private_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/shell_word.hpp"

namespace icecore::base {

void refuse_open_to_others(int fd, const std::filesystem::path& path, std::string_view what) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) fail_errno(errno, fmt::format("{} '{}'", what, path.string()));
  if ((info.st_mode & 077) == 0) return;
  throw Error(Fault::denied, fmt::format("{} '{}' is open to other users (mode {:04o})", what, path.string(),
                                         static_cast<unsigned>(info.st_mode & 07777)))
      .add_hint("chmod 600 " + shell_word(path.string()));
}

Bytes read_private_file(const std::filesystem::path& path, std::uint64_t size_max, std::string_view what) {
  const Fd fd = with_context([&] { return open_file(path, O_RDONLY); }, "{}", what);
  refuse_open_to_others(fd.get(), path, what);
  return with_context([&] { return read_file(fd.get(), path, size_max); }, "{}", what);
}

}  // namespace icecore::base
