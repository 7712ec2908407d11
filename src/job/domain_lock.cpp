// SPDX-License-Identifier: Apache-2.0
#include "job/domain_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include "base/clock.hpp"
#include "base/durable_file.hpp"
#include "base/error.hpp"

namespace icecore::job {

namespace {

constexpr base::Milliseconds k_asking{1};
constexpr base::Milliseconds k_asking_max{100};

// Users other than root have a runtime folder of their own; where there is none, one for each user below /tmp.
std::filesystem::path runtime_folder() {
  if (::geteuid() == 0) return "/run/icecore";
  if (const char* folder = std::getenv("XDG_RUNTIME_DIR")) return std::filesystem::path(folder) / "icecore";
  return "/tmp/icecore-" + std::to_string(::geteuid());
}

std::filesystem::path lock_path(const std::string& domain_uuid) {
  const std::filesystem::path folder = runtime_folder() / "domains";
  base::create_folders(folder);
  return folder / (domain_uuid + ".lock");
}

// The file holds the holder's process id, for the message only; the lock itself is flock(2).
void write_holder(int fd) {
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, pid.data(), pid.size(), 0) < 0)
    base::fail_errno(errno, "write the domain's lock file");
}

std::string read_holder(const std::filesystem::path& path) {
  std::string pid = base::to_string(base::read_file(path, 64));
  while (!pid.empty() && pid.back() == '\n') pid.pop_back();
  return pid.empty() ? "unknown" : pid;
}

}  // namespace

bool DomainLock::is_held(const std::string& domain_uuid) {
  const base::Fd file = base::open_file(lock_path(domain_uuid), O_RDWR | O_CREAT);
  return ::flock(file.get(), LOCK_SH | LOCK_NB) != 0;
}

std::optional<DomainLock> DomainLock::try_lock(const std::string& domain_uuid) {
  base::Fd file = base::open_file(lock_path(domain_uuid), O_RDWR | O_CREAT);
  for (const base::Stopwatch watch; ::flock(file.get(), LOCK_EX | LOCK_NB) != 0;) {
    if (errno != EWOULDBLOCK) base::fail_errno(errno, "lock domain " + domain_uuid);
    if (watch.elapsed() > k_asking_max) return std::nullopt;
    std::this_thread::sleep_for(k_asking);  // it may only have been asked about
  }
  write_holder(file.get());
  return DomainLock(std::move(file));
}

DomainLock::DomainLock(const std::string& domain_uuid, const std::string& domain_name) {
  std::optional<DomainLock> lock = try_lock(domain_uuid);
  if (!lock) {
    base::Error error(base::Fault::busy, fmt::format("another icecore (process {}) is working on domain '{}'",
                                                     read_holder(lock_path(domain_uuid)), domain_name));
    throw error.add_hint("wait for it to end; `icecore doctor` shows what it does");
  }
  file_ = std::move(lock->file_);
}

}  // namespace icecore::job
