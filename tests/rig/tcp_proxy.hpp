// SPDX-License-Identifier: Apache-2.0
// A TCP proxy on 127.0.0.1 that is as bad a network as a test wants: slow, far away, cut, silent or closed. What it
// has taken in and not yet passed on is bounded only by latency and rate.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "base/clock.hpp"
#include "base/handle.hpp"

namespace icecore::rig {

class TcpProxy {
 public:
  // Connects each caller to 127.0.0.1:`target`.
  explicit TcpProxy(int target);
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  int port() const noexcept { return port_; }

  // All may be changed at any time, from any thread.
  // Added to each direction: a round trip takes twice as long.
  void set_latency(base::Milliseconds one_way) { latency_ms_ = one_way.count(); }
  // Of each direction of each connection; 0: as fast as it goes.
  void set_rate(std::uint64_t bytes_a_second) { rate_ = bytes_a_second; }
  // Neither end hears anything any more, new connections neither; nothing is closed. Taken back, all flows on.
  void set_black_hole(bool on) { black_hole_ = on; }
  // New connections are reset at once.
  void set_refuse(bool on) { refuse_ = on; }
  // Resets all connections there are.
  void cut() { ++cuts_; }
  // Neither end of the connections there are hears anything ever again, as behind a NAT that has lost them; new ones
  // are served.
  void forget() { ++forgets_; }

  // Passed on so far, in both directions of all connections.
  std::uint64_t bytes() const noexcept { return bytes_; }
  // Connections accepted so far.
  int connections() const noexcept { return connections_; }
  // Returns once that many bytes in all have passed; false after 60 s.
  bool wait_bytes(std::uint64_t count) const;

 private:
  class Loop;
  friend class Loop;

  const int target_;
  int port_ = 0;
  base::Fd listener_;
  std::atomic<std::int64_t> latency_ms_ = 0;
  std::atomic<std::uint64_t> rate_ = 0;
  std::atomic<bool> black_hole_ = false;
  std::atomic<bool> refuse_ = false;
  std::atomic<int> cuts_ = 0;
  std::atomic<int> forgets_ = 0;
  std::atomic<std::uint64_t> bytes_ = 0;
  std::atomic<int> connections_ = 0;
  std::jthread thread_;
};

}  // namespace icecore::rig
