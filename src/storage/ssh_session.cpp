// SPDX-License-Identifier: Apache-2.0
#include "storage/ssh_session.hpp"

#include <libssh2.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <new>

#include "base/error.hpp"
#include "storage/ssh_login.hpp"

namespace icecore::storage {

using base::Fault;

namespace {

constexpr base::Milliseconds k_look{1'000};           // at the traffic: longer than a trickle takes to show
constexpr unsigned k_window_bytes = 8 * 1024 * 1024;  // the server may send so much unasked for
// libssh2 asks every two seconds at most, and counts whole ones.
constexpr base::Milliseconds k_silence_between_askings{4'000};
constexpr std::uint64_t k_keepalive_bytes_max = 256;  // of one, as it is sent
constexpr int k_free_attempts_max = 100;

void ensure_libssh2() {
  static const int result = libssh2_init(0);
  if (result != 0) base::fail(Fault::internal, "libssh2 does not start: {}", result);
}

bool may_send(int socket) noexcept {
  pollfd writable{socket, POLLOUT, 0};
  return ::poll(&writable, 1, 0) > 0;
}

void wait_for(int socket, short events) {
  pollfd ready{socket, events, 0};
  ::poll(&ready, 1, static_cast<int>(k_look_again.count()));
}

}  // namespace

// The socket is shut down before, so that nothing here can wait for the network.
void SshSession::FreeSession::operator()(LIBSSH2_SESSION* session) const noexcept {
  for (int i = 0; i < k_free_attempts_max && libssh2_session_free(session) == LIBSSH2_ERROR_EAGAIN; ++i) {
  }
}

SshSession::SshSession(const SshTarget& target, const SshDeadlines& deadlines)
    : target_(target), deadlines_(deadlines) {
  ensure_libssh2();
  socket_ = connect_tcp(target_.host.host_name, *target_.host.port, deadlines_);
  session_.reset(libssh2_session_init());
  if (!session_) throw std::bad_alloc();
  libssh2_session_set_blocking(session_.get(), 0);
  base::ScopeExit hang_up([&] { ::shutdown(socket_.get(), SHUT_RDWR); });
  log_in();
  hang_up.dismiss();
  restart_clocks();
}

SshSession::~SshSession() {
  if (half_sent_ == HalfSent::none) libssh2_session_disconnect(session_.get(), "done");
  ::shutdown(socket_.get(), SHUT_RDWR);
}

void SshSession::log_in() {
  const base::Stopwatch watch;
  const SshWait wait = [&] {
    if (watch.elapsed() > deadlines_.now(deadlines_.login)) {
      base::fail(Fault::unavailable, "'{}' port {} did not let us in within {} s", target_.host.host_name,
                 *target_.host.port, watch.elapsed().count() / 1000);
    }
    wait_for(socket_.get(), is_sending() ? POLLIN | POLLOUT : POLLIN);
  };
  ssh_handshake(session_.get(), socket_.get(), target_, wait);
  check_host_key(session_.get(), target_);
  authenticate(session_.get(), target_, wait, deadlines_.stop);
  const int opened = finish_step(
      [&] {
        channel_ = libssh2_channel_open_ex(session_.get(), "session", sizeof("session") - 1, k_window_bytes,
                                           LIBSSH2_CHANNEL_PACKET_DEFAULT, nullptr, 0);
        return channel_ != nullptr ? 0 : libssh2_session_last_errno(session_.get());
      },
      wait);
  if (opened != 0) base::fail(Fault::unavailable, "the server opens no channel: {}", ssh_message(session_.get()));
  const int started = finish_step([&] { return libssh2_channel_subsystem(channel_, "sftp"); }, wait);
  if (started == 0) return;
  throw base::Error(Fault::denied, fmt::format("'{}' offers '{}' no SFTP: {}", target_.host.host_name,
                                               target_.host.user, ssh_message(session_.get())))
      .add_hint("sshd_config on the server needs: Subsystem sftp internal-sftp");
}

std::size_t SshSession::write_some(base::ByteView bytes) {
  if (half_sent_ == HalfSent::by_read) return 0;
  const ssize_t count = libssh2_channel_write(channel_, reinterpret_cast<const char*>(bytes.data()), bytes.size());
  half_sent_ = count == LIBSSH2_ERROR_EAGAIN && is_sending() ? HalfSent::by_write : HalfSent::none;
  waits_for_room_ = count == LIBSSH2_ERROR_EAGAIN && half_sent_ == HalfSent::none;
  if (count == LIBSSH2_ERROR_EAGAIN) return 0;
  if (count < 0) base::fail(Fault::unavailable, "the connection broke while sending: {}", ssh_message(session_.get()));
  if (count > 0) progress_at_ = Clock::now();
  return static_cast<std::size_t>(count);
}

std::size_t SshSession::read_some(base::ByteSpan bytes) {
  if (half_sent_ == HalfSent::by_write) return 0;
  const ssize_t count = libssh2_channel_read(channel_, reinterpret_cast<char*>(bytes.data()), bytes.size());
  half_sent_ = count == LIBSSH2_ERROR_EAGAIN && is_sending() ? HalfSent::by_read : HalfSent::none;
  if (count == LIBSSH2_ERROR_EAGAIN) return 0;
  if (count < 0) base::fail(Fault::unavailable, "the connection broke: {}", ssh_message(session_.get()));
  if (count == 0 && libssh2_channel_eof(channel_) != 0)
    base::fail(Fault::unavailable, "the server ended its SFTP service");
  if (count > 0) progress_at_ = Clock::now();
  return static_cast<std::size_t>(count);
}

bool SshSession::is_sending() const noexcept {
  return (libssh2_session_block_directions(session_.get()) & LIBSSH2_SESSION_BLOCK_OUTBOUND) != 0;
}

void SshSession::wait() {
  // Reading may just have found the room that writing had waited for: no more bytes need come to get on.
  if (waits_for_room_ && libssh2_channel_window_write(channel_) > 0) return;
  const short events = half_sent_ == HalfSent::none ? POLLIN : POLLOUT;
  wait_for(socket_.get(), events);
  check_stall();
}

void SshSession::restart_clocks() {
  heard_at_ = asked_at_ = progress_at_ = looked_at_ = Clock::now();
  traffic_ = tcp_traffic(socket_.get());
}

// From here on silence counts anew: a server that had nothing to say to us for a while is asked whether it lives.
void SshSession::notice_stop() {
  if (parting_ || !deadlines_.stop.stop_requested()) return;
  parting_ = true;
  deadlines_.silence = std::min(deadlines_.silence, deadlines_.parting);
  deadlines_.answer = std::min(deadlines_.answer, deadlines_.parting_answer);
  deadlines_.keepalive = std::min(deadlines_.keepalive, deadlines_.parting / 2);
  restart_clocks();
  ask_for_life();
}

void SshSession::check_stall() {
  notice_stop();
  const Clock::time_point now = Clock::now();
  if (now - looked_at_ < std::min(k_look, deadlines_.silence / 4)) return;
  looked_at_ = now;
  const TcpTraffic traffic = tcp_traffic(socket_.get());
  // A slow link may have nothing to say to us for long while it takes what is on its way. But the kernel of a server
  // that hangs confirms keepalives too.
  const bool confirmed = traffic.confirmed - traffic_.confirmed > k_keepalive_bytes_max;
  const bool answered = traffic.received != traffic_.received;
  if (confirmed || answered) heard_at_ = now;
  if (answered && parting_) deadlines_.silence = std::max(deadlines_.silence, k_silence_between_askings);
  traffic_ = traffic;
  const auto seconds = [](auto duration) { return std::chrono::duration_cast<std::chrono::seconds>(duration).count(); };
  if (now - heard_at_ > deadlines_.silence) {
    base::fail(Fault::unavailable, "nothing was heard from '{}' for {} s", target_.host.host_name,
               seconds(now - heard_at_));
  }
  if (now - progress_at_ > deadlines_.answer) {
    base::fail(Fault::unavailable, "'{}' lives, but its SFTP service has not answered for {} s", target_.host.host_name,
               seconds(now - progress_at_));
  }
  if (now - heard_at_ > deadlines_.keepalive && now - asked_at_ > deadlines_.keepalive) ask_for_life();
}

// Only into an empty pipe: libssh2 forgets a keepalive that it could send half of.
void SshSession::ask_for_life() {
  asked_at_ = Clock::now();
  if (half_sent_ != HalfSent::none || !may_send(socket_.get())) return;
  int next_seconds = 0;
  libssh2_keepalive_config(session_.get(), /*want_reply=*/1, /*interval=*/2);
  libssh2_keepalive_send(session_.get(), &next_seconds);
}

}  // namespace icecore::storage
