// SPDX-License-Identifier: Apache-2.0
// One SSH connection with one running SFTP service, as two byte streams that never block. Whoever has nothing to do
// calls wait(), which is where a dead peer is found: not by how long something takes, but by nothing moving.
//
// Threads: one at a time. After any exception the session is good for nothing but destruction.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/handle.hpp"
#include "storage/ssh_socket.hpp"
#include "storage/ssh_target.hpp"

struct _LIBSSH2_SESSION;
struct _LIBSSH2_CHANNEL;

namespace icecore::storage {

struct SshDeadlines {
  base::Milliseconds connect{15'000};    // for each address of the host
  base::Milliseconds login{60'000};      // handshake, host key, authentication, start of the service
  base::Milliseconds silence{30'000};    // nothing was heard, not even an answer to a keepalive
  base::Milliseconds answer{600'000};    // the server lives, but its service neither takes nor sends a byte
  base::Milliseconds keepalive{10'000};  // of silence, then the server is asked whether it lives
};

class SshSession {
 public:
  // Connects, checks the host key, logs in, starts the service. Fault::unavailable, or Fault::denied and
  // Fault::conflict with the next command as the hint.
  SshSession(const SshTarget& target, const SshDeadlines& deadlines);
  SshSession(const SshSession&) = delete;
  SshSession& operator=(const SshSession&) = delete;
  ~SshSession();

  // How many bytes were taken; 0: none for now.
  std::size_t write_some(base::ByteView bytes);
  // How many bytes came; 0: none for now.
  std::size_t read_some(base::ByteSpan bytes);
  // Returns when one of them may get on. Throws Fault::unavailable when the peer is gone or has stalled.
  void wait();
  // To be called before work begins after a pause: silence counts from now.
  void restart_clocks();

  bool has_hung_up() const noexcept { return storage::has_hung_up(socket_.get()); }

 private:
  using Clock = std::chrono::steady_clock;
  struct FreeSession {
    void operator()(_LIBSSH2_SESSION* session) const noexcept;
  };
  // A packet that is half sent must be sent on by the call that began it: libssh2 takes any other for misuse.
  enum class HalfSent { none, by_write, by_read };

  void log_in();
  bool is_sending() const noexcept;
  void check_stall();
  void ask_for_life();

  SshTarget target_;
  SshDeadlines deadlines_;
  base::Fd socket_;
  std::unique_ptr<_LIBSSH2_SESSION, FreeSession> session_;
  _LIBSSH2_CHANNEL* channel_ = nullptr;  // freed with the session
  HalfSent half_sent_ = HalfSent::none;
  bool waits_for_room_ = false;  // the server's window is full
  TcpTraffic traffic_;
  Clock::time_point looked_at_;    // when traffic_ was last taken
  Clock::time_point heard_at_;     // when the peer last gave a sign
  Clock::time_point asked_at_;     // when it was last asked for one
  Clock::time_point progress_at_;  // when the service last took or sent something
};

}  // namespace icecore::storage
