// SPDX-License-Identifier: Apache-2.0
#include "rig/ssh_server.hpp"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <iterator>
#include <thread>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "rig/proc_file.hpp"

namespace icecore::rig {

namespace {

using base::Milliseconds;
namespace fs = std::filesystem;

constexpr Milliseconds k_start_deadline{10'000};
constexpr Milliseconds k_keygen_deadline{20'000};
constexpr const char* k_sftp_server = "/usr/lib/openssh/sftp-server";

void write_text(const fs::path& path, const std::string& text, unsigned mode = 0644) {
  base::write_durably(path, base::as_bytes(text), mode);
}

std::string read_text(const fs::path& path) { return base::to_string(base::read_file(path)); }

void make_key(const fs::path& path) {
  base::run_checked({.arguments = {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path.string()},
                     .pass_descriptors = {},
                     .input = {}},
                    k_keygen_deadline);
}

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// True once something there says "SSH-".
bool greets(int port) {
  const base::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return false;
  pollfd readable{fd.get(), POLLIN, 0};
  std::array<char, 4> text{};
  return ::poll(&readable, 1, 1000) == 1 && ::recv(fd.get(), text.data(), text.size(), MSG_WAITALL) == 4;
}

pid_t parent_of(const std::string& pid) {
  const std::string stat = proc_file(pid, "stat");
  const std::size_t end = stat.rfind(')');
  return end == std::string::npos ? -1 : std::atoi(stat.c_str() + end + 4);
}

// The process and all below it. Connections of sshd have sessions of their own, so no group holds them together.
std::vector<pid_t> family_of(pid_t root) {
  std::vector<pid_t> family{root};
  for (std::size_t i = 0; i < family.size(); ++i) {
    for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      if (parent_of(name) == family[i]) family.push_back(std::atoi(name.c_str()));
    }
  }
  return family;
}

// Nobody but root may be able to write to any folder above a chroot, so it cannot lie below /tmp or /var/tmp.
fs::path make_served(Undo& undo, const fs::path& folder, SftpService service) {
  if (service != SftpService::chroot) return folder / "served";
  const fs::path served = fs::path("/var/lib") / folder.filename();
  undo.folder(served);
  return served;
}

}  // namespace

void PrintTo(SftpService service, std::ostream* out) {
  constexpr std::array k_names = {"Internal", "Program", "Bare", "Chroot"};
  *out << k_names[static_cast<std::size_t>(service)];
}

int free_port() {
  const base::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    base::fail_errno(errno, "find a free port");
  }
  return ntohs(address.sin_port);
}

SshServer::SshServer(const SshServerSettings& settings)
    : folder_(make_folder(undo_)),
      files_(make_served(undo_, folder_, settings.service) / "files"),
      home_(folder_ / "home"),
      settings_(settings),
      user_(settings.service == SftpService::chroot ? "nobody" : "root"),
      below_(settings.service == SftpService::chroot ? "/files" : files_.string()),
      port_(free_port()) {
  base::create_folders(files_, 0755);
  base::create_folders(home_ / ".ssh");
  if (settings.service == SftpService::chroot) {
    base::run_checked({.arguments = {"chown", "nobody", files_.string()}, .pass_descriptors = {}, .input = {}},
                      k_keygen_deadline);
  }
  make_key(home_ / ".ssh" / "id_ed25519");
  fs::copy_file(home_ / ".ssh" / "id_ed25519.pub", folder_ / "authorized_keys");
  change_host_key();
  trust(port_);
  write_text(folder_ / "sshd_config", configuration());
  start();
}

SshServer::~SshServer() { kill(); }

std::string SshServer::configuration() const {
  std::string text;
  for (const std::string& line : settings_.configuration) text += line + "\n";
  text += fmt::format(
      "Port {}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile none\nAuthorizedKeysFile {}\nStrictModes no\n"
      "UsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nMaxStartups 100\nLogLevel ERROR\n",
      port_, (folder_ / "host_key").string(), (folder_ / "authorized_keys").string());
  switch (settings_.service) {
    case SftpService::internal: return text + "Subsystem sftp internal-sftp\n";
    case SftpService::program: return text + fmt::format("Subsystem sftp {}\n", k_sftp_server);
    case SftpService::bare:
      return text + fmt::format("Subsystem sftp {} -P fsync,posix-rename,statvfs,limits\n", k_sftp_server);
    case SftpService::chroot:
      return text + fmt::format("Subsystem sftp internal-sftp\nChrootDirectory {}\nForceCommand internal-sftp\n",
                                files_.parent_path().string());
  }
  return text;
}

std::string SshServer::url(const std::string& below, std::optional<int> port) const {
  return fmt::format("sftp://{}@127.0.0.1:{}{}{}", user_, port.value_or(port_), below_,
                     below.empty() ? "" : "/" + below);
}

Environment SshServer::environment() const { return {{"HOME", home_.string()}, {"SSH_AUTH_SOCK", ""}}; }

void SshServer::enter_home() const {
  for (const auto& [name, value] : environment()) ::setenv(name.c_str(), value.c_str(), 1);
}

std::string SshServer::host_key_line(int port) const {
  return fmt::format("[127.0.0.1]:{} {}", port, read_text(folder_ / "host_key.pub"));
}

void SshServer::trust(int port) const {
  const fs::path path = home_ / ".ssh" / "known_hosts";
  write_text(path, (fs::exists(path) ? read_text(path) : "") + host_key_line(port), 0600);
}

void SshServer::change_host_key() {
  fs::remove(folder_ / "host_key");
  make_key(folder_ / "host_key");
}

void SshServer::refuse_key() const { write_text(folder_ / "authorized_keys", ""); }

int SshServer::service_pid() const {
  const std::vector<pid_t> family = family_of(sshd_->pid());
  for (auto at = family.rbegin(); at != family.rend(); ++at) {
    if (proc_file(std::to_string(*at), "comm") == "sftp-server\n") return *at;
  }
  return -1;
}

void SshServer::signal(int number) const {
  for (const pid_t pid : family_of(sshd_->pid())) ::kill(pid, number);
}

void SshServer::kill() {
  if (!sshd_) return;
  signal(SIGKILL);
  sshd_.reset();
}

// The command with an /etc/shadow of its own, where the user has the password.
std::vector<std::string> SshServer::with_shadow(std::vector<std::string> command) const {
  const fs::path shadow = folder_ / "shadow";
  const std::string hash = base::run_checked(
      {.arguments = {"openssl", "passwd", "-6", settings_.password}, .pass_descriptors = {}, .input = {}},
      k_keygen_deadline);
  write_text(shadow, fmt::format("{}:{}:19000:0:99999:7:::\n", user_, hash.substr(0, hash.find('\n'))), 0600);
  const std::string script = fmt::format("mount --bind '{}' /etc/shadow && exec \"$@\"", shadow.string());
  command.insert(command.begin(), {"unshare", "-m", "sh", "-c", script, "sh"});
  return command;
}

void SshServer::start() {
  base::create_folders("/run/sshd", 0755);
  std::vector<std::string> words = {"/usr/sbin/sshd", "-D", "-e", "-f", (folder_ / "sshd_config").string()};
  if (!settings_.password.empty()) words = with_shadow(std::move(words));
  sshd_.emplace(base::Command{.arguments = std::move(words), .pass_descriptors = {}, .input = {}});
  undo_.process(sshd_->pid());
  for (const base::Stopwatch watch; watch.elapsed() < k_start_deadline;) {
    if (greets(port_)) return;
    if (sshd_->wait(Milliseconds(10))) base::fail(base::Fault::unavailable, "sshd ended: {}", sshd_->error_text());
  }
  base::fail(base::Fault::unavailable, "sshd does not listen at port {}", port_);
}

}  // namespace icecore::rig
