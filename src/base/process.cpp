// SPDX-License-Identifier: Apache-2.0
#include "base/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <thread>

#include "base/bytes.hpp"
#include "base/error.hpp"

namespace icecore::base {

namespace {

constexpr std::size_t k_output_max = 64 * k_mib;
constexpr int k_exec_failed = 127;

struct Pipe {
  Fd read_end;
  Fd write_end;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail_errno(errno, "pipe");
  return {Fd(ends[0]), Fd(ends[1])};
}

// What the child does between fork and exec: only async-signal-safe calls.
struct ChildSetup {
  std::vector<char*> arguments;
  std::vector<char*> environment;
  std::array<int, 3> standard;  // our descriptors for 0, 1, 2
  const std::vector<std::pair<int, int>>* pass;
  bool survive_parent;
  bool share_terminal;
  pid_t parent;

  [[noreturn]] void exec() const noexcept {
    if (!share_terminal) ::setpgid(0, 0);
    if (!survive_parent) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(k_exec_failed);
    }
    for (int i = 0; i < 3; ++i) ::dup2(standard[static_cast<std::size_t>(i)], i);
    for (const auto& [ours, theirs] : *pass) {
      if (ours == theirs) {
        ::fcntl(ours, F_SETFD, 0);
      } else {
        ::dup2(ours, theirs);
      }
    }
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    ::execvpe(arguments[0], arguments.data(), environment.data());
    ::_exit(k_exec_failed);
  }
};

// No child has any use for our secrets, and another program's environment is not ours to guard.
std::vector<char*> child_environment() {
  std::vector<char*> kept;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (!text.starts_with("ICECORE_PASSPHRASE") && !text.starts_with("ICECORE_SSH_")) kept.push_back(*entry);
  }
  kept.push_back(nullptr);
  return kept;
}

pid_t start(const Command& command, int in, int out, int err) {
  ChildSetup setup{{},
                   child_environment(),
                   {in, out, err},
                   &command.pass_descriptors,
                   command.survive_parent,
                   command.share_terminal,
                   ::getpid()};
  for (const std::string& argument : command.arguments) setup.arguments.push_back(const_cast<char*>(argument.c_str()));
  setup.arguments.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) fail_errno(errno, "fork");
  if (pid == 0) setup.exec();
  return pid;
}

int exit_code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return exit_code_of(status);
}

// Appends what is readable; closes the descriptor at its end.
void drain(Fd& fd, std::string& text) {
  std::array<char, 65536> buffer;
  const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (count <= 0) return fd.reset();
  if (text.size() + static_cast<std::size_t>(count) > k_output_max)
    fail(Fault::internal, "a child process printed over 64 MiB");
  text.append(buffer.data(), static_cast<std::size_t>(count));
}

void feed(Fd& fd, std::string_view& rest) {
  const ssize_t count = rest.empty() ? 0 : ::write(fd.get(), rest.data(), rest.size());
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (count < 0) rest = {};
  if (count > 0) rest.remove_prefix(static_cast<std::size_t>(count));
  if (rest.empty()) fd.reset();
}

struct Conversation {
  Pipe in = make_pipe();
  Pipe out = make_pipe();
  Pipe err = make_pipe();
};

// One round of poll over the three pipes, at most 100 ms.
void exchange_once(Conversation& talk, std::string_view& input, Outcome& outcome) {
  std::array<pollfd, 3> fds = {pollfd{talk.in.write_end.get(), POLLOUT, 0}, pollfd{talk.out.read_end.get(), POLLIN, 0},
                               pollfd{talk.err.read_end.get(), POLLIN, 0}};
  ::poll(fds.data(), fds.size(), 100);
  if (fds[0].revents != 0) feed(talk.in.write_end, input);
  if (fds[1].revents != 0) drain(talk.out.read_end, outcome.output);
  if (fds[2].revents != 0) drain(talk.err.read_end, outcome.error_output);
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

void keep_memory_private() noexcept {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  // The limit alone does not hold where cores go into a pipe (systemd-coredump): core(5).
  ::prctl(PR_SET_DUMPABLE, 0);
}

Outcome run(const Command& command, Milliseconds deadline, std::stop_token stop) {
  const Stopwatch watch;
  Conversation talk;
  Outcome outcome;
  std::string_view input = command.input;
  const pid_t pid = start(command, talk.in.read_end.get(), talk.out.write_end.get(), talk.err.write_end.get());
  ScopeExit kill_child([&] {
    ::kill(pid, SIGKILL);
    wait_for(pid);
  });
  talk.in.read_end.reset();
  talk.out.write_end.reset();
  talk.err.write_end.reset();
  ::fcntl(talk.in.write_end.get(), F_SETFL, O_NONBLOCK);
  while (talk.out.read_end || talk.err.read_end) {
    if (stop.stop_requested()) fail(Fault::cancelled, "'{}' was interrupted", command.arguments[0]);
    if (watch.elapsed() > deadline)
      fail(Fault::unavailable, "'{}' did not end within {} s", command.arguments[0], deadline.count() / 1000);
    exchange_once(talk, input, outcome);
  }
  kill_child.dismiss();
  outcome.exit_code = wait_for(pid);
  return outcome;
}

std::string run_checked(const Command& command, Milliseconds deadline, std::stop_token stop) {
  Outcome outcome = run(command, deadline, std::move(stop));
  if (outcome.exit_code != 0) {
    const std::string said = outcome.exit_code == k_exec_failed && outcome.error_output.empty()
                                 ? "the program is not installed"
                                 : first_line(outcome.error_output);
    fail(Fault::unavailable, "'{}' failed with exit code {}: {}", command.arguments[0], outcome.exit_code, said);
  }
  return std::move(outcome.output);
}

Child::Child(const Command& command, Wiring wiring) : reaper_(-1) {
  Fd theirs(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (wiring == Wiring::dialog) {
    // A socket pair and not two pipes: sending to a child that is gone is then an error and not a SIGPIPE.
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) fail_errno(errno, "socketpair");
    dialog_ = Fd(ends[0]);
    theirs = Fd(ends[1]);
  }
  Pipe err = make_pipe();
  reaper_.pid = start(command, theirs.get(), theirs.get(), err.write_end.get());
  error_pipe_ = std::move(err.read_end);
  ::fcntl(error_pipe_.get(), F_SETFL, O_NONBLOCK);
}

std::optional<int> Child::poll() {
  if (exit_code_) return exit_code_;
  int status = 0;
  if (::waitpid(reaper_.pid, &status, WNOHANG) == reaper_.pid) {
    reaper_.pid = -1;
    exit_code_ = exit_code_of(status);
  }
  return exit_code_;
}

std::optional<int> Child::wait(Milliseconds deadline) {
  if (poll()) return exit_code_;
  const Fd ended(static_cast<int>(::syscall(SYS_pidfd_open, reaper_.pid, 0)));
  pollfd fd{ended.get(), POLLIN, 0};
  while (::poll(&fd, 1, static_cast<int>(deadline.count())) < 0 && errno == EINTR) {
  }
  return poll();
}

void Child::release() noexcept {
  dialog_.reset();
  reaper_.pid = -1;
}

void Child::send_line(std::string_view line) {
  std::string text(line);
  text += '\n';
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t count = ::send(dialog_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(Fault::unavailable, "the child process {} has ended", reaper_.pid);
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
}

std::optional<std::string> Child::read_line(Milliseconds deadline) {
  const Stopwatch watch;
  while (true) {
    if (const auto end = unread_.find('\n'); end != std::string::npos) {
      std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return line;
    }
    if (!dialog_) return std::nullopt;
    pollfd fd{dialog_.get(), POLLIN, 0};
    const auto left = std::max(deadline - watch.elapsed(), Milliseconds(0));
    if (::poll(&fd, 1, static_cast<int>(left.count())) == 0) return std::nullopt;
    drain(dialog_, unread_);
  }
}

void Child::end_input() noexcept {
  if (dialog_) ::shutdown(dialog_.get(), SHUT_WR);
}

std::string Child::error_text() {
  if (error_pipe_) drain(error_pipe_, error_text_);
  return error_text_;
}

Child::Reaper::~Reaper() {
  if (pid <= 0) return;
  ::kill(pid, SIGTERM);
  const Stopwatch watch;
  while (watch.elapsed() < std::chrono::seconds(2)) {
    if (::waitpid(pid, nullptr, WNOHANG) != 0) return;
    std::this_thread::sleep_for(Milliseconds(5));
  }
  ::kill(pid, SIGKILL);
  wait_for(pid);
}

}  // namespace icecore::base
