// SPDX-License-Identifier: Apache-2.0
// A qemu-nbd child serving one image on a Unix socket that only we can reach.
#pragma once

#include <filesystem>
#include <string>

#include "base/process.hpp"

namespace icecore::disk {

struct ServerOptions {
  std::filesystem::path image;
  std::string format;
  bool writable = false;          // false: -r with force-share, so that a domain holding the image never notices
  std::string bitmap = {};        // a persistent bitmap of the image to tell about as well
  unsigned connections = 1;       // clients at a time
  std::uint64_t table_bytes = 0;  // of the image's tables read and written at a time; 0: QEMU's 4 KiB pieces
};

class NbdServer {
 public:
  // Throws Fault::unavailable when the child cannot be started. Whether it could open the image shows when
  // connecting; explain_failure() then tells why. The child dies with the calling thread.
  explicit NbdServer(const ServerOptions& options);

  // To connect to; the socket listens already. forget_socket() removes it once all clients are connected.
  const std::filesystem::path& socket() const noexcept { return socket_; }
  void forget_socket() noexcept;

  // Throws what the child said when it ended; returns when it did not say anything.
  void explain_failure();

  // Waits until the child has closed the image after the last client left. Throws when it failed to.
  void expect_clean_end(base::Milliseconds deadline);

 private:
  struct Socket;
  NbdServer(const ServerOptions& options, Socket socket);

  std::string what_;
  std::filesystem::path socket_;
  // Removes the folder of the socket.
  struct Folder {
    std::filesystem::path path;
    explicit Folder(std::filesystem::path made) : path(std::move(made)) {}
    Folder(Folder&& other) noexcept : path(std::exchange(other.path, {})) {}
    Folder& operator=(Folder&&) = delete;
    ~Folder();
  };
  Folder folder_;
  base::Child child_;
};

}  // namespace icecore::disk
