// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal_prompt.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.hpp"
#include "base/handle.hpp"

namespace icecore::cli {

namespace {

constexpr std::size_t k_passphrase_bytes_max = 1024;
constexpr int k_poll_ms = 100;

// Signals wait while the echo is off, else Ctrl-C would leave the terminal mute.
class HeldSignals {
 public:
  HeldSignals() {
    sigemptyset(&held_);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGTSTP}) sigaddset(&held_, signal);
    ::pthread_sigmask(SIG_BLOCK, &held_, &before_);
  }
  bool any_came() const {
    sigset_t pending;
    ::sigpending(&pending);
    return sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1 ||
           sigismember(&pending, SIGHUP) == 1;
  }
  void release() const { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t held_{};
  sigset_t before_{};
};

void write_text(int fd, std::string_view text) { static_cast<void>(!::write(fd, text.data(), text.size())); }

void wait_for_line(int tty, const HeldSignals& signals, const std::stop_token& stop) {
  pollfd input{tty, POLLIN, 0};
  while (::poll(&input, 1, k_poll_ms) <= 0) {
    if (stop.stop_requested() || signals.any_came()) base::fail(base::Fault::cancelled, "no passphrase was given");
  }
}

repository::Secret read_line(int tty) {
  std::array<char, k_passphrase_bytes_max> buffer;
  const base::ByteSpan bytes = std::as_writable_bytes(std::span(buffer));
  const base::ScopeExit forget([&] { repository::wipe(bytes); });
  const ssize_t count = ::read(tty, buffer.data(), buffer.size());
  const std::string_view line(buffer.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
  const std::string_view text = line.substr(0, line.find('\n'));
  if (text.empty()) base::fail(base::Fault::usage, "the passphrase is empty");
  return repository::Secret::copy_of(base::as_bytes(text));
}

}  // namespace

repository::Secret prompt_passphrase(const std::string& question, const std::stop_token& stop,
                                     const std::string& instead) {
  const base::Fd tty(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  termios before{};
  if (!tty || ::tcgetattr(tty.get(), &before) != 0) {
    throw base::Error(base::Fault::unavailable, "a passphrase is needed and there is no terminal to ask for it")
        .add_hint(instead);
  }
  const HeldSignals signals;
  const base::ScopeExit let_signals_act([&] { signals.release(); });
  termios mute = before;
  mute.c_lflag = (mute.c_lflag | ICANON) & ~static_cast<tcflag_t>(ECHO);
  ::tcsetattr(tty.get(), TCSAFLUSH, &mute);
  const base::ScopeExit show_again([&] {
    ::tcsetattr(tty.get(), TCSAFLUSH, &before);
    write_text(tty.get(), "\n");
  });
  write_text(tty.get(), question + ": ");
  wait_for_line(tty.get(), signals, stop);
  return read_line(tty.get());
}

repository::Secret prompt_new_passphrase(const std::stop_token& stop, const std::string& instead) {
  repository::Secret first = prompt_passphrase("New passphrase", stop, instead);
  const repository::Secret second = prompt_passphrase("Once more", stop, instead);
  const base::ByteView a = first.view();
  const base::ByteView b = second.view();
  if (!std::equal(a.begin(), a.end(), b.begin(), b.end())) {
    base::fail(base::Fault::usage, "the two passphrases differ");
  }
  return first;
}

}  // namespace icecore::cli
