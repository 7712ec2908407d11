// SPDX-License-Identifier: Apache-2.0
#include "repository/crash_mark.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/durable_file.hpp"
#include "base/error.hpp"

namespace icecore::repository {

namespace {

// The file's whole content while somebody is at work.
constexpr std::string_view k_at_work = "in use\n";

bool alone(int file) { return ::flock(file, LOCK_EX | LOCK_NB) == 0; }

bool is_marked(int file) {
  struct stat status {};
  return ::fstat(file, &status) == 0 && status.st_size > 0;
}

}  // namespace

CrashMark::CrashMark(const std::filesystem::path& file, const std::function<void()>& on_crash)
    : file_(base::open_file(file, O_RDWR | O_CREAT)) {
  if (alone(file_.get()) && is_marked(file_.get())) on_crash();
  if (::pwrite(file_.get(), k_at_work.data(), k_at_work.size(), 0) != static_cast<ssize_t>(k_at_work.size()))
    base::fail_errno(errno, "mark '" + file.string() + "'");
  if (::flock(file_.get(), LOCK_SH) != 0) base::fail_errno(errno, "lock '" + file.string() + "'");
}

CrashMark::~CrashMark() {
  // Failing that, the next one finds a crash that was none, which costs it a rebuild.
  if (alone(file_.get()) && ::ftruncate(file_.get(), 0) != 0) return;
}

}  // namespace icecore::repository
