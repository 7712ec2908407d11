// SPDX-License-Identifier: Apache-2.0
// One thread polls everything. Bytes are read into chunks that are due one latency later, and a rate moves the next
// chunk's time on.
#include "rig/tcp_proxy.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <deque>
#include <list>
#include <vector>

#include "base/bytes.hpp"
#include "base/error.hpp"

namespace icecore::rig {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t k_chunk_bytes = 256 * base::k_kib;
constexpr std::size_t k_held_bytes_min = base::k_mib;
constexpr int k_poll_ms_max = 10;

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Closing sends a reset instead of an end.
void reset_on_close(int fd) {
  const linger at_once{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void send_at_once(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

struct Chunk {
  Clock::time_point due;
  base::Bytes bytes;
  std::size_t sent = 0;
};

// One direction of a connection.
struct Way {
  int from;
  int to;
  std::deque<Chunk> held = {};
  std::size_t held_bytes = 0;
  Clock::time_point free_at = {};  // when the last chunk has left a link of this rate
  bool ended = false;              // `from` sends no more
  bool closed = false;             // and `to` was told
};

struct Connection {
  base::Fd client;
  base::Fd server;
  Way up{client.get(), server.get()};
  Way down{server.get(), client.get()};
  bool broken = false;

  Connection(base::Fd from_client, base::Fd to_server) : client(std::move(from_client)), server(std::move(to_server)) {
    up = {client.get(), server.get()};
    down = {server.get(), client.get()};
  }
};

}  // namespace

class TcpProxy::Loop {
 public:
  explicit Loop(TcpProxy& proxy) : proxy_(proxy) {}

  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (const int cuts = proxy_.cuts_; cuts != cuts_seen_) {
        cuts_seen_ = cuts;
        for (Connection& connection : connections_) reset(connection);
        connections_.clear();
      }
      if (const int forgets = proxy_.forgets_; forgets != forgets_seen_) {
        forgets_seen_ = forgets;
        forgotten_.splice(forgotten_.end(), connections_);
      }
      wait();
      if (proxy_.black_hole_) continue;
      accept();
      for (Connection& connection : connections_) serve(connection);
      std::erase_if(connections_, [](const Connection& at) { return at.broken || (at.up.closed && at.down.closed); });
    }
  }

 private:
  static void reset(const Connection& connection) {
    reset_on_close(connection.client.get());
    reset_on_close(connection.server.get());
  }

  void wait() {
    std::vector<pollfd> polled;
    int timeout = k_poll_ms_max;
    if (!proxy_.black_hole_) {
      polled.push_back({proxy_.listener_.get(), POLLIN, 0});
      for (const Connection& connection : connections_) {
        for (const Way* way : {&connection.up, &connection.down}) timeout = std::min(timeout, poll_way(*way, polled));
      }
    }
    ::poll(polled.data(), polled.size(), timeout);
  }

  // Adds what the way waits for; returns for how long nothing else will happen to it.
  int poll_way(const Way& way, std::vector<pollfd>& polled) const {
    if (!way.ended && way.held_bytes < room()) polled.push_back({way.from, POLLIN, 0});
    if (way.held.empty()) return k_poll_ms_max;
    const auto left = way.held.front().due - Clock::now();
    if (left > Clock::duration::zero()) return static_cast<int>(left / std::chrono::milliseconds(1)) + 1;
    polled.push_back({way.to, POLLOUT, 0});
    return k_poll_ms_max;
  }

  // What a link of this latency may hold at 1 GB/s.
  std::size_t room() const { return k_held_bytes_min + static_cast<std::size_t>(proxy_.latency_ms_) * base::k_mib; }

  void accept() {
    for (;;) {
      base::Fd client(::accept4(proxy_.listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!client) return;
      ++proxy_.connections_;
      base::Fd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const sockaddr_in target = loopback(proxy_.target_);
      if (proxy_.refuse_ || ::connect(server.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0) {
        reset_on_close(client.get());
        continue;
      }
      send_at_once(client.get());
      send_at_once(server.get());
      connections_.emplace_back(std::move(client), std::move(server));
    }
  }

  void serve(Connection& connection) {
    for (Way* way : {&connection.up, &connection.down}) {
      if (!take(*way) || !pass(*way)) {
        reset(connection);
        connection.broken = true;
        return;
      }
    }
  }

  // False: the connection is lost.
  bool take(Way& way) {
    while (!way.ended && way.held_bytes < room()) {
      const ssize_t count = ::recv(way.from, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (count < 0) return errno == EAGAIN || errno == EINTR;
      if (count == 0) {
        way.ended = true;
        return true;
      }
      hold(way, static_cast<std::size_t>(count));
    }
    return true;
  }

  void hold(Way& way, std::size_t count) {
    const Clock::time_point now = Clock::now();
    const std::uint64_t rate = proxy_.rate_;
    way.free_at = std::max(way.free_at, now);
    if (rate != 0) way.free_at += std::chrono::nanoseconds(count * 1'000'000'000 / rate);
    way.held.push_back({way.free_at + base::Milliseconds(proxy_.latency_ms_),
                        base::Bytes(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(count))});
    way.held_bytes += count;
  }

  bool pass(Way& way) {
    while (!way.held.empty() && way.held.front().due <= Clock::now()) {
      Chunk& chunk = way.held.front();
      const ssize_t count =
          ::send(way.to, chunk.bytes.data() + chunk.sent, chunk.bytes.size() - chunk.sent, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (count < 0) return errno == EAGAIN || errno == EINTR;
      chunk.sent += static_cast<std::size_t>(count);
      way.held_bytes -= static_cast<std::size_t>(count);
      proxy_.bytes_ += static_cast<std::uint64_t>(count);
      if (chunk.sent == chunk.bytes.size()) way.held.pop_front();
    }
    if (way.ended && way.held.empty() && !way.closed) {
      ::shutdown(way.to, SHUT_WR);
      way.closed = true;
    }
    return true;
  }

  TcpProxy& proxy_;
  std::list<Connection> connections_;
  std::list<Connection> forgotten_;  // open and not served
  base::Bytes buffer_ = base::Bytes(k_chunk_bytes);
  int cuts_seen_ = 0;
  int forgets_seen_ = 0;
};

TcpProxy::TcpProxy(int target)
    : target_(target), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_.get(), 64) != 0 ||
      ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    base::fail_errno(errno, "open a proxy's port");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::jthread([this](const std::stop_token& stop) { Loop(*this).run(stop); });
}

TcpProxy::~TcpProxy() {
  thread_.request_stop();
  thread_.join();
}

bool TcpProxy::wait_bytes(std::uint64_t count) const {
  for (const base::Stopwatch watch; watch.elapsed() < base::Milliseconds(60'000);) {
    if (bytes_ >= count) return true;
    std::this_thread::sleep_for(base::Milliseconds(1));
  }
  return false;
}

}  // namespace icecore::rig
