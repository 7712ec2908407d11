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

// What the resolver's thread works on; it is alive as long as that may be.
struct LookUp {
  std::string host;
  std::string port;
  addrinfo wanted{};
  gaicb request{};
};

// EAI_INPROGRESS when it took too long.
int wait_for(const LookUp& look_up, const SshDeadlines& deadlines) {
  constexpr timespec k_pause{0, std::chrono::nanoseconds(k_look_again).count()};
  const base::Stopwatch watch;
  int error = EAI_INPROGRESS;
  while (error == EAI_INPROGRESS && watch.elapsed() < deadlines.now(deadlines.connect)) {
    const gaicb* const list = &look_up.request;
    ::gai_suspend(&list, 1, &k_pause);
    error = ::gai_error(const_cast<gaicb*>(list));
  }
  return error;
}

// Of a host that is given as one; null when it is a name.
Addresses address_itself(const std::string& host, int port) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &found) != 0) return nullptr;
  return Addresses(found);
}

Addresses look_up(const std::string& host, int port, const SshDeadlines& deadlines) {
  if (Addresses address = address_itself(host, port)) return address;
  auto asked = std::make_unique<LookUp>(LookUp{host, std::to_string(port)});
  asked->wanted.ai_socktype = SOCK_STREAM;
  asked->wanted.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
  asked->request = {asked->host.c_str(), asked->port.c_str(), &asked->wanted, nullptr, {}, {}};
  gaicb* list = &asked->request;
  int error = ::getaddrinfo_a(GAI_NOWAIT, &list, 1, nullptr);
  if (error == 0) error = wait_for(*asked, deadlines);
  if (error == 0) return Addresses(asked->request.ar_result);
  const bool hangs = error == EAI_INPROGRESS;
  // The resolver's thread still uses it, and nobody can call that off.
  if (hangs && ::gai_cancel(list) == EAI_NOTCANCELED) static_cast<void>(asked.release());
  base::fail(Fault::unavailable, "host '{}' has no address: {}", host,
             hangs ? "no name server answers" : ::gai_strerror(error));
}

// The errno of connecting; 0 when it is connected.
int connect_within(int socket, const addrinfo& address, const SshDeadlines& deadlines) {
  if (::connect(socket, address.ai_addr, address.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  const base::Stopwatch watch;
  for (;;) {
    pollfd connected{socket, POLLOUT, 0};
    if (watch.elapsed() > deadlines.now(deadlines.connect)) return ETIMEDOUT;
    if (::poll(&connected, 1, static_cast<int>(k_look_again.count())) > 0) break;
  }
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

}  // namespace

base::Fd connect_tcp(const std::string& host, int port, const SshDeadlines& deadlines) {
  const Addresses addresses = look_up(host, port, deadlines);
  int error = 0;
  for (const addrinfo* at = addresses.get(); at != nullptr; at = at->ai_next) {
    base::Fd socket(::socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol));
    error = socket ? connect_within(socket.get(), *at, deadlines) : errno;
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
