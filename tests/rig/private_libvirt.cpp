// SPDX-License-Identifier: Apache-2.0
#include "rig/private_libvirt.hpp"

#include <fmt/core.h>
#include <signal.h>

#include <functional>
#include <thread>
#include <utility>

#include "base/bytes.hpp"
#include "base/durable_file.hpp"
#include "base/error.hpp"

namespace icecore::rig {

namespace {

using base::Milliseconds;
constexpr Milliseconds k_poll{10};
constexpr Milliseconds k_deadline{30'000};

void wait_until(const std::function<bool()>& condition, std::string_view what) {
  const base::Stopwatch watch;
  while (!condition()) {
    if (watch.elapsed() > k_deadline) base::fail(base::Fault::unavailable, "a private libvirtd did not {}", what);
    std::this_thread::sleep_for(k_poll);
  }
}

base::Command command(std::vector<std::string> arguments) {
  base::Command made;
  made.arguments = std::move(arguments);
  return made;
}

}  // namespace

PrivateLibvirt::PrivateLibvirt() : folder_(make_folder(undo_)) {
  holder_.emplace(command({"unshare", "-m", "-u", ICECORE_RIG_FOLDER "/private-libvirt", folder_}));
  wait_until([&] { return std::filesystem::exists(folder_ / "ready"); }, "find its folders");
  start();
}

std::string PrivateLibvirt::uri() const {
  return fmt::format("qemu+unix:///system?socket={}/libvirt-sock", folder_.native());
}

// nsenter -r: in a chroot too the namespace's root is not ours.
std::vector<std::string> PrivateLibvirt::inside(std::vector<std::string> command) const {
  command.insert(command.begin(), {"nsenter", "-m", "-u", "-r", "-t", std::to_string(holder_->pid())});
  return command;
}

std::filesystem::path PrivateLibvirt::seen_from_outside(const std::filesystem::path& path) const {
  return std::filesystem::path("/proc") / std::to_string(holder_->pid()) / "root" / path.relative_path();
}

void PrivateLibvirt::hide(const std::filesystem::path& folder) {
  base::run_checked(command(inside({"mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder})), k_deadline);
}

std::filesystem::path PrivateLibvirt::log_messages() {
  const std::filesystem::path log = folder_ / "messages";
  const std::string admin = fmt::format("libvirtd+unix:///system?socket={}/libvirt-admin-sock", folder_.native());
  for (const auto& [what, value] : {std::pair("daemon-log-outputs", "2:file:" + log.native()),
                                    std::pair("daemon-log-filters", std::string("2:rpc.netserverclient"))})
    base::run_checked(command({"virt-admin", "-q", "-c", admin, what, value}), k_deadline);
  return log;
}

void PrivateLibvirt::start() {
  const std::filesystem::path pid_file = folder_ / "libvirtd.pid";
  std::filesystem::remove(pid_file);
  base::run_checked(command(inside({"libvirtd", "-d", "-f", folder_ / "libvirtd.conf", "-p", pid_file})), k_deadline);
  pid_ = std::stoi(base::to_string(base::read_file(pid_file)));
  undo_.process(pid_);
  wait_until([&] { return answers(); }, "answer");
}

void PrivateLibvirt::stop() { end(SIGTERM); }
void PrivateLibvirt::kill() { end(SIGKILL); }

void PrivateLibvirt::restart() {
  stop();
  start();
}

void PrivateLibvirt::end(int signal_number) {
  ::kill(pid_, signal_number);
  wait_until([&] { return ::kill(pid_, 0) != 0; }, "end");
}

bool PrivateLibvirt::answers() const {
  return base::run(command({"virsh", "-q", "-c", uri(), "uri"}), k_deadline).exit_code == 0;
}

}  // namespace icecore::rig
