// SPDX-License-Identifier: Apache-2.0
#include "storage/ssh_socket.hpp"

#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <system_error>

#include "base/error.hpp"

namespace icecore::storage {

using base::Fault;

namespace {

using Addresses = std::unique_ptr<addrinfo, base::FreeWith<&::freeaddrinfo>>;

Addresses look_up(const std::string& host, int port) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &found);
  if (error != 0) base::fail(Fault::unavailable, "host '{}' has no address: {}", host, ::gai_strerror(error));
  return Addresses(found);
}

// The errno of connecting; 0 when it is connected.
int connect_within(int socket, const addrinfo& address, base::Milliseconds deadline) {
  if (::connect(socket, address.ai_addr, address.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  const base::Stopwatch watch;
  for (;;) {
    const base::Milliseconds left = deadline - watch.elapsed();
    pollfd connected{socket, POLLOUT, 0};
    if (left <= base::Milliseconds(0)) return ETIMEDOUT;
    if (::poll(&connected, 1, static_cast<int>(left.count())) > 0) break;
  }
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

}  // namespace

base::Fd connect_tcp(const std::string& host, int port, base::Milliseconds deadline) {
  const Addresses addresses = look_up(host, port);
  int error = 0;
  for (const addrinfo* at = addresses.get(); at != nullptr; at = at->ai_next) {
    base::Fd socket(::socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol));
    error = socket ? connect_within(socket.get(), *at, deadline) : errno;
    if (error != 0) continue;
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return socket;
  }
  base::fail(Fault::unavailable, "cannot connect to '{}' port {}: {}", host, port,
             std::generic_category().message(error));
}

TcpTraffic tcp_traffic(int socket) noexcept {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return {};
  return {info.tcpi_bytes_received, info.tcpi_bytes_acked};
}

bool has_hung_up(int socket) noexcept {
  pollfd closed{socket, POLLRDHUP, 0};
  return ::poll(&closed, 1, 0) > 0;
}

}  // namespace icecore::storage
