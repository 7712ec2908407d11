// SPDX-License-Identifier: Apache-2.0
// One SSH connection with one running SFTP service, as two byte streams that never block. wait() is where a dead peer
// is found: not by how long something takes, but by nothing moving.
#pragma once

#include <chrono>
#include <memory>

#include "base/handle.hpp"
#include "storage/sftp_stream.hpp"
#include "storage/ssh_deadlines.hpp"
#include "storage/ssh_socket.hpp"
#include "storage/ssh_target.hpp"

struct _LIBSSH2_SESSION;
struct _LIBSSH2_CHANNEL;

namespace icecore::storage {

class SshSession final : public SftpStream {
 public:
  // Connects, checks the host key, logs in, starts the service. Fault::unavailable, or Fault::denied and
  // Fault::conflict with the next command as the hint.
  SshSession(const SshTarget& target, const SshDeadlines& deadlines);
  SshSession(const SshSession&) = delete;
  SshSession& operator=(const SshSession&) = delete;
  ~SshSession() override;

  std::size_t write_some(base::ByteView bytes) override;
  std::size_t read_some(base::ByteSpan bytes) override;
  void wait() override;
  void restart_clocks() override;
  bool has_hung_up() const noexcept override { return storage::has_hung_up(socket_.get()); }

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
  void notice_stop();
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
  bool parting_ = false;           // a stop was noticed, and deadlines_ are those for it
};

}  // namespace icecore::storage
