// SPDX-License-Identifier: Apache-2.0
#include "disk/nbd_server.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.hpp"
#include "disk/qemu_img.hpp"

namespace icecore::disk {

namespace {

using base::Fault;

std::filesystem::path make_private_folder() {
  std::string path = (std::filesystem::temp_directory_path() / "icecore-nbd-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) base::fail_errno(errno, "create folder '" + path + "'");
  return path;
}

base::Fd listen_at(const std::filesystem::path& path) {
  base::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) base::fail_errno(errno, "create a Unix socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text = path.string();
  if (text.size() >= sizeof(address.sun_path)) base::fail(Fault::usage, "socket path '{}' is too long", text);
  std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
  constexpr int k_backlog = 64;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(fd.get(), k_backlog) != 0) {
    base::fail_errno(errno, "listen on '" + text + "'");
  }
  return fd;
}

// A comma ends an option for QEMU unless doubled.
std::string escape_commas(const std::string& text) {
  std::string escaped;
  for (const char c : text) escaped.append(c == ',' ? 2 : 1, c);
  return escaped;
}

// tmpfs and some network file systems refuse O_DIRECT when opening.
bool can_bypass_cache(const std::string& path) {
  return static_cast<bool>(base::Fd(::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC)));
}

// Reading: like `-r`, and no locks are taken. Writing: past the page cache (filling it with gigabytes that nobody
// reads again costs more CPU than all else here, and pushes out what the host's guests use) and without flushes on
// the way (the image is worthless before its end, and then the whole file is synced by us).
std::vector<std::string> image_arguments(const ServerOptions& options) {
  const std::string path = qemu_path(options.image);
  const bool device = std::filesystem::is_block_file(path);
  std::string image = fmt::format("driver={},file.driver={},file.filename={}", options.format,
                                  device ? "host_device" : "file", escape_commas(path));
  if (!options.writable) return {"-r", "--image-opts", image + ",read-only=on,force-share=on"};
  image += fmt::format(",discard=unmap,detect-zeroes=off,cache.no-flush=on,cache.direct={}",
                       can_bypass_cache(path) ? "on" : "off");
  if (options.table_bytes > 0) image += fmt::format(",l2-cache-entry-size={}", options.table_bytes);
  return {"--image-opts", image};
}

}  // namespace

struct NbdServer::Socket {
  Folder folder;
  std::filesystem::path path;
  base::Fd listener;

  static Socket make() {
    Folder folder(make_private_folder());
    std::filesystem::path path = folder.path / "socket";
    base::Fd listener = listen_at(path);
    return {std::move(folder), std::move(path), std::move(listener)};
  }
};

namespace {

// What runs between fork and qemu-nbd. The listening socket is handed over as systemd does it, so there is no
// moment when connecting is too early; LISTEN_PID must be the server's own. The memory of a request (1 MiB) stays
// with the allocator: mapping, clearing and unmapping it each time was more than half of the server's CPU time.
constexpr const char* k_launch_script =
    "export LISTEN_PID=$$ LISTEN_FDS=1 MALLOC_MMAP_THRESHOLD_=16777216 MALLOC_TRIM_THRESHOLD_=268435456; "
    "exec \"$@\"";

base::Child start_server(const ServerOptions& options, const base::Fd& listener) {
  constexpr int k_first_activated = 3;
  require_readable(options.image, options.format);
  base::Command command{
      .arguments = {"sh", "-c", k_launch_script, "sh", "qemu-nbd", "-e", std::to_string(options.connections)},
      .pass_descriptors = {{listener.get(), k_first_activated}}};
  if (!options.bitmap.empty()) command.arguments.insert(command.arguments.end(), {"-B", options.bitmap});
  for (std::string& argument : image_arguments(options)) command.arguments.push_back(std::move(argument));
  return base::Child(command);
}

}  // namespace

NbdServer::NbdServer(const ServerOptions& options) : NbdServer(options, Socket::make()) {}

// Our copy of the listener closes on return: a server that dies takes its socket with it.
NbdServer::NbdServer(const ServerOptions& options, Socket socket)
    : what_(fmt::format("open image '{}' as {}{}", options.image.string(), options.format,
                        options.writable ? " for writing" : "")),
      socket_(std::move(socket.path)),
      folder_(std::move(socket.folder)),
      child_(start_server(options, socket.listener)) {}

NbdServer::Folder::~Folder() {
  std::error_code ignored;
  if (!path.empty()) std::filesystem::remove_all(path, ignored);
}

void NbdServer::forget_socket() noexcept {
  std::error_code ignored;
  std::filesystem::remove_all(folder_.path, ignored);
}

void NbdServer::explain_failure() {
  constexpr base::Milliseconds k_last_words = std::chrono::seconds(2);
  if (!child_.wait(k_last_words)) return;
  const std::string said = child_.error_text();
  if (said.find("qemu-nbd: not found") != std::string::npos) {
    base::Error error(Fault::unavailable, fmt::format("cannot {}: qemu-nbd is not installed", what_));
    throw error.add_hint("apt-get install qemu-utils");
  }
  fail_as_qemu_said(said, what_);
}

void NbdServer::expect_clean_end(base::Milliseconds deadline) {
  const std::optional<int> code = child_.wait(deadline);
  if (!code) base::fail(Fault::unavailable, "cannot {}: qemu-nbd does not end", what_);
  if (*code != 0) fail_as_qemu_said(child_.error_text(), what_);
}

}  // namespace icecore::disk
