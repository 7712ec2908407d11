// SPDX-License-Identifier: Apache-2.0
#include "rig/guest.hpp"

#include <fmt/core.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>

#include <sstream>
#include <thread>

#include "base/error.hpp"
#include "base/process.hpp"

namespace icecore::rig {

namespace {

using base::Fault;
using base::Json;
using base::Milliseconds;

constexpr Milliseconds k_poll{50};
constexpr char k_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string from_base64(const std::string& text) {
  std::string bytes;
  unsigned bits = 0;
  int count = 0;
  for (const char c : text) {
    const std::size_t digit = std::string_view(k_digits).find(c);
    if (digit == std::string_view::npos) break;
    bits = (bits << 6) | static_cast<unsigned>(digit);
    if ((count += 6) >= 8) bytes.push_back(static_cast<char>((bits >> (count -= 8)) & 0xff));
  }
  return bytes;
}

ChainState parse_log_line(const std::string& line) {
  ChainState state;
  std::istringstream words(line);
  std::string word;
  words >> word >> state.records >> word;
  state.unbroken = word == "unbroken";
  words >> word >> state.tail_bytes >> word >> state.longest_pause_ns;
  state.longest_pause_ns *= 1'000'000;
  return state;
}

}  // namespace

Json Guest::agent(const Json& command, int timeout_seconds) {
  char* answer = virDomainQemuAgentCommand(domain_->handle(), command.dump().c_str(), timeout_seconds, 0);
  if (answer == nullptr) base::fail(Fault::unavailable, "agent of {}: {}", domain_->name(), virGetLastErrorMessage());
  const std::string text = answer;
  ::free(answer);
  return base::parse_json(text, "agent of " + domain_->name()).at("return");
}

bool Guest::agent_answers() {
  try {
    agent({{"execute", "guest-ping"}}, 2);
    return true;
  } catch (const base::Error&) {
    return false;
  }
}

void Guest::wait_agent(Milliseconds deadline) {
  const base::Stopwatch watch;
  while (!agent_answers()) {
    if (watch.elapsed() > deadline) base::fail(Fault::unavailable, "no agent in {}", domain_->name());
    if (!domain_->is_running()) base::fail(Fault::unavailable, "{} stopped while booting", domain_->name());
    std::this_thread::sleep_for(k_poll);
  }
}

GuestOutcome Guest::run(const std::vector<std::string>& arguments, Milliseconds deadline) {
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  const Json started = agent(
      {{"execute", "guest-exec"}, {"arguments", {{"path", arguments[0]}, {"arg", rest}, {"capture-output", true}}}});
  const base::Stopwatch watch;
  while (true) {
    const Json status = agent({{"execute", "guest-exec-status"}, {"arguments", {{"pid", started.at("pid")}}}});
    if (status.at("exited").get<bool>()) {
      return {status.contains("signal") ? 128 + status.at("signal").get<int>() : status.value("exitcode", 0),
              from_base64(status.value("out-data", "")), from_base64(status.value("err-data", ""))};
    }
    if (watch.elapsed() > deadline) base::fail(Fault::unavailable, "'{}' in the guest did not end", arguments[0]);
    std::this_thread::sleep_for(k_poll);
  }
}

std::string Guest::shell(const std::string& command, Milliseconds deadline) {
  GuestOutcome outcome = run({"/bin/sh", "-c", command}, deadline);
  if (outcome.exit_code != 0) {
    base::fail(Fault::unavailable, "'{}' in the guest: exit code {}: {}", command, outcome.exit_code,
               outcome.error_output);
  }
  return std::move(outcome.output);
}

void Guest::write_file(const std::string& path, const std::string& content) {
  const Json handle = agent({{"execute", "guest-file-open"}, {"arguments", {{"path", path}, {"mode", "w"}}}});
  std::string text;
  for (std::size_t at = 0; at < content.size(); at += 3) {
    unsigned bits = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      bits = (bits << 8) | (at + i < content.size() ? static_cast<unsigned char>(content[at + i]) : 0U);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      text.push_back(at + i > content.size() ? '=' : k_digits[(bits >> (18 - 6 * i)) & 63]);
    }
  }
  agent({{"execute", "guest-file-write"}, {"arguments", {{"handle", handle}, {"buf-b64", text}}}});
  agent({{"execute", "guest-file-close"}, {"arguments", {{"handle", handle}}}});
  shell("sync");
}

std::map<std::string, std::string> Guest::checksums(const std::string& folder) {
  std::istringstream lines(shell("find " + folder + " -type f -exec sha256sum {} +"));
  std::map<std::string, std::string> sums;
  for (std::string line; std::getline(lines, line);) sums[line.substr(66)] = line.substr(0, 64);
  return sums;
}

void Guest::start_writer(const std::string& path, unsigned records_per_sync) {
  shell(fmt::format("setsid writer {} {} >/dev/null 2>&1 </dev/null &", path, records_per_sync));
}

void Guest::start_paired_writer(const std::string& first, const std::string& second) {
  shell(fmt::format("setsid writer {} 1 {} >/dev/null 2>&1 </dev/null &", first, second));
}

void Guest::stop_writer() { shell("killall writer; while pidof writer >/dev/null; do usleep 10000; done; sync"); }

ChainState Guest::check_log(const std::string& path) { return parse_log_line(run({"/bin/check-log", path}).output); }

void Guest::hang_agent(Milliseconds length) {
  shell(
      fmt::format("setsid sh -c 'agent=$(pidof qemu-ga); usleep 1000000; kill -STOP $agent; usleep {}; "
                  "kill -CONT $agent' >/dev/null 2>&1 </dev/null &",
                  length.count() * 1000));
}

std::string Guest::freeze_status() { return agent({{"execute", "guest-fsfreeze-status"}}); }

void Guest::shut_down(Milliseconds deadline) {
  virDomainShutdownFlags(domain_->handle(), VIR_DOMAIN_SHUTDOWN_GUEST_AGENT);
  domain_->wait_off(deadline);
}

namespace {

// The image as a raw file, removed with this.
class RawCopy {
 public:
  RawCopy(const std::filesystem::path& image, const std::string& format) : path_(image.native() + ".raw-copy") {
    base::run_checked({.arguments = {"qemu-img", "convert", "-U", "-f", format, "-O", "raw", image, path_}},
                      Milliseconds(120'000));
  }
  RawCopy(const RawCopy&) = delete;
  RawCopy& operator=(const RawCopy&) = delete;
  ~RawCopy() { ::unlink(path_.c_str()); }
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace

bool file_system_is_clean(const std::filesystem::path& image, const std::string& format) {
  const RawCopy raw(image, format);
  // What a journal holds that was never replayed looks sound without it, too: the file system is only older.
  const std::string head = base::run_checked({.arguments = {"dumpe2fs", "-h", raw.path()}}, Milliseconds(60'000));
  if (head.find("needs_recovery") != std::string::npos) return false;
  return base::run({.arguments = {"e2fsck", "-f", "-n", raw.path()}}, Milliseconds(120'000)).exit_code == 0;
}

ChainState read_log(const std::filesystem::path& image, const std::string& format, const std::string& path) {
  const RawCopy copy(image, format);
  const std::filesystem::path& raw = copy.path();
  const base::ScopeExit remove_log([&]() noexcept { ::unlink((raw.native() + ".out").c_str()); });
  // The journal is replayed first, as a mount would: a crash-consistent image is read as a guest would see it.
  base::run({.arguments = {"e2fsck", "-p", "-f", raw}, .pass_descriptors = {}, .input = {}}, Milliseconds(120'000));
  base::run_checked({.arguments = {"debugfs", "-R", fmt::format("dump {} {}.out", path, raw.native()), raw},
                     .pass_descriptors = {},
                     .input = {}},
                    Milliseconds(60'000));
  std::FILE* file = std::fopen((raw.native() + ".out").c_str(), "rb");
  if (file == nullptr) base::fail(Fault::not_found, "no file {} in {}", path, image.native());
  const ChainState state = chain_read(file);
  std::fclose(file);
  return state;
}

}  // namespace icecore::rig
