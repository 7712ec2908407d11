// SPDX-License-Identifier: Apache-2.0
#include "rig/undo.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <iterator>

#include "base/error.hpp"
#include "base/id.hpp"
#include "rig/proc_file.hpp"

namespace icecore::rig {

namespace {

constexpr int k_undo_wait_ms = 90'000;

struct Pipe {
  base::Fd read_end;
  base::Fd write_end;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) base::fail_errno(errno, "pipe");
  return {base::Fd(ends[0]), base::Fd(ends[1])};
}

// In the forked child: becomes the janitor, in a session of its own and reparented, so that neither a signal to
// our group nor ctest's killing of our descendants reaches it. It keeps libvirt's users lock.
[[noreturn]] void become_janitor(int things, int done, int users, const char* uri) {
  ::setsid();
  if (::fork() != 0) ::_exit(0);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  ::dup2(things, 0);
  ::dup2(null, 1);
  ::dup2(null, 2);
  ::fcntl(done, F_SETFD, 0);
  ::fcntl(users, F_SETFD, 0);
  ::execl(ICECORE_RIG_FOLDER "/janitor", "janitor", uri, nullptr);
  ::_exit(127);
}

std::string start_time_of(pid_t pid) {
  const std::string stat = proc_file(std::to_string(pid), "stat");
  std::size_t at = stat.rfind(')') + 1;
  for (int field = 3; field < 22; ++field) at = stat.find(' ', at + 1);
  return stat.substr(at + 1, stat.find(' ', at + 1) - at - 1);
}

}  // namespace

Undo::Undo(std::string uri) {
  Pipe things = make_pipe();
  Pipe done = make_pipe();
  const base::Fd users(::open("/run/lock/icecore-rig.users", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (users) ::flock(users.get(), LOCK_SH);
  const pid_t pid = ::fork();
  if (pid < 0) base::fail_errno(errno, "fork");
  if (pid == 0) become_janitor(things.read_end.get(), done.write_end.get(), users.get(), uri.c_str());
  ::waitpid(pid, nullptr, 0);
  pipe_ = std::move(things.write_end);
  done_ = std::move(done.read_end);
}

Undo::~Undo() {
  pipe_.reset();
  pollfd ended{done_.get(), POLLIN, 0};
  ::poll(&ended, 1, k_undo_wait_ms);
}

void Undo::domain(std::string_view name) { tell(fmt::format("domain {}\n", name)); }
void Undo::folder(const std::filesystem::path& path) { tell(fmt::format("folder {}\n", path.native())); }
void Undo::pool(std::string_view name) { tell(fmt::format("pool {}\n", name)); }
void Undo::network(std::string_view name) { tell(fmt::format("network {}\n", name)); }
void Undo::secret(std::string_view uuid) { tell(fmt::format("secret {}\n", uuid)); }
void Undo::loop(const std::filesystem::path& file) { tell(fmt::format("loop {}\n", file.native())); }
void Undo::process(pid_t pid) { tell(fmt::format("process {} {}\n", pid, start_time_of(pid))); }

void Undo::tell(std::string_view line) {
  if (::write(pipe_.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    base::fail_errno(errno, "telling the janitor");
  }
}

std::filesystem::path make_folder(Undo& undo) {
  const char* base_folder = std::getenv("TMPDIR");
  const std::filesystem::path path =
      std::filesystem::path(base_folder != nullptr ? base_folder : "/var/tmp") / ("icecore-test-" + base::random_id(6));
  undo.folder(path);
  std::filesystem::create_directory(path);
  std::filesystem::permissions(path, std::filesystem::perms(0755));
  return path;
}

}  // namespace icecore::rig
