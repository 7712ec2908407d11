// SPDX-License-Identifier: Apache-2.0
#include "rig/icecore_run.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <iterator>
#include <thread>

#include "base/bytes.hpp"
#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "rig/proc_file.hpp"

#ifndef ICECORE_RIG_BINARY
#define ICECORE_RIG_BINARY ""
#endif

namespace icecore::rig {

namespace {

using base::Milliseconds;
constexpr Milliseconds k_poll{5};
constexpr Milliseconds k_stop_deadline{10'000};

int exit_code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

bool is_stopped(pid_t pid) {
  const std::string stat = proc_file(std::to_string(pid), "stat");
  const std::size_t state = stat.rfind(')') + 2;
  return state < stat.size() && stat[state] == 'T';
}

// Ours with the test's on top.
std::vector<std::string> merged(const Environment& extra) {
  std::vector<std::string> entries;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!extra.contains(text.substr(0, text.find('=')))) entries.push_back(text);
  }
  for (const auto& [name, value] : extra) entries.push_back(name + "=" + value);
  return entries;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

std::string icecore_path() {
  const char* chosen = std::getenv("ICECORE_BINARY");
  return chosen != nullptr ? chosen : ICECORE_RIG_BINARY;
}

IcecoreRun::IcecoreRun(std::vector<std::string> arguments, Environment environment) : folder_(make_folder(undo_)) {
  environment.try_emplace("ICECORE_FAILPOINT_FILE", folder_ / "failpoint");
  arguments.insert(arguments.begin(), icecore_path());
  start(std::move(arguments), environment);
  undo_.process(pid_);
}

void IcecoreRun::start(std::vector<std::string> arguments, const Environment& environment) {
  std::vector<std::string> entries = merged(environment);
  const std::vector<char*> words = pointers(arguments);
  const std::vector<char*> variables = pointers(entries);
  const base::Fd in = base::open_file("/dev/null", O_RDONLY);
  const base::Fd out = base::open_file(folder_ / "out", O_WRONLY | O_CREAT | O_APPEND);
  const base::Fd err = base::open_file(folder_ / "err", O_WRONLY | O_CREAT | O_APPEND);
  pid_ = ::fork();
  if (pid_ < 0) base::fail_errno(errno, "fork");
  if (pid_ > 0) return;
  ::setpgid(0, 0);
  ::signal(SIGPIPE, SIG_DFL);  // as a user's shell has it, whatever the fixtures do
  ::dup2(in.get(), 0);
  ::dup2(out.get(), 1);
  ::dup2(err.get(), 2);
  ::execve(words[0], words.data(), variables.data());
  ::_exit(127);
}

IcecoreRun::~IcecoreRun() {
  if (has_ended()) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool IcecoreRun::has_ended() {
  if (exit_code_) return true;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == pid_) exit_code_ = exit_code_of(status);
  return exit_code_.has_value();
}

IcecoreOutcome IcecoreRun::wait(Milliseconds deadline) {
  while (!has_ended()) {
    if (watch_.elapsed() > deadline) {
      ::kill(pid_, SIGKILL);
      base::fail(base::Fault::unavailable, "icecore did not end within {} s; it printed: {}{}", deadline.count() / 1000,
                 text("out"), text("err"));
    }
    std::this_thread::sleep_for(k_poll);
  }
  return {*exit_code_, text("out"), text("err"), watch_.elapsed()};
}

void IcecoreRun::signal(int number) { ::kill(pid_, number); }

IcecoreOutcome IcecoreRun::kill() {
  signal(SIGKILL);
  return wait();
}

std::string IcecoreRun::wait_failpoint(Milliseconds deadline) {
  while (true) {
    const std::string name = text("failpoint");
    if (!name.empty()) return name;
    if (has_ended() && text("failpoint").empty()) {
      base::fail(base::Fault::not_found, "icecore ended with {} before any failpoint: {}{}", *exit_code_, text("out"),
                 text("err"));
    }
    if (watch_.elapsed() > deadline) base::fail(base::Fault::unavailable, "icecore reached no failpoint");
    std::this_thread::sleep_for(k_poll);
  }
}

void IcecoreRun::go_on() {
  // It announces the failpoint first and stops then: a SIGCONT in between would be lost.
  const base::Stopwatch watch;
  while (!is_stopped(pid_) && watch.elapsed() < k_stop_deadline) std::this_thread::sleep_for(k_poll);
  ::unlink((folder_ / "failpoint").c_str());
  signal(SIGCONT);
}

std::string IcecoreRun::text(const char* name) const {
  const std::filesystem::path path = folder_ / name;
  return std::filesystem::exists(path) ? base::to_string(base::read_file(path)) : "";
}

IcecoreOutcome icecore(std::vector<std::string> arguments, Environment environment, Milliseconds deadline) {
  return IcecoreRun(std::move(arguments), std::move(environment)).wait(deadline);
}

}  // namespace icecore::rig
