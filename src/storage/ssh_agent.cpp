// SPDX-License-Identifier: Apache-2.0
// Its packets are framed as those of SFTP: u32 length, u8 type, and what the type says.
#include "storage/ssh_agent.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.hpp"
#include "storage/sftp_packet.hpp"

namespace icecore::storage {

using base::Fault;

namespace {

constexpr SftpType k_request_keys{11};
constexpr std::uint8_t k_keys = 12;
constexpr SftpType k_request_signature{13};
constexpr std::uint8_t k_signature = 14;
constexpr std::size_t k_answer_bytes_max = 256 * base::k_kib;  // OpenSSH's own limit
constexpr base::Milliseconds k_look{200};                      // for a stop
constexpr std::size_t k_header_bytes = 4;

base::Fd connect_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) base::fail(Fault::unavailable, "'{}' is too long for a socket", path);
  std::memcpy(address.sun_path, path.data(), path.size());
  base::Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  // One that takes no more callers is as good as one that hangs.
  if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    base::fail(Fault::unavailable, "does not answer at '{}'", path);
  }
  return socket;
}

base::Bytes next_string(SftpPacketReader& reader) {
  const base::ByteView bytes = reader.raw(reader.u32());
  return {bytes.begin(), bytes.end()};
}

bool is_rsa(base::ByteView key) {
  SftpPacketReader reader(key);
  return reader.text() == "ssh-rsa";
}

}  // namespace

SshAgent::SshAgent(const std::string& socket, const SshAgentDeadlines& deadlines, std::stop_token stop)
    : name_(socket), deadlines_(deadlines), stop_(std::move(stop)), socket_(connect_unix(socket)) {
  base::Bytes request;
  SftpPacketWriter(request, k_request_keys).finish();
  const base::Bytes answer = ask(request, deadlines_.list);
  SftpPacketReader reader(answer);
  if (reader.u8() != k_keys) base::fail(Fault::unavailable, "does not tell its keys at '{}'", name_);
  for (std::uint32_t left = reader.u32(); left > 0; --left) {
    keys_.push_back(next_string(reader));
    next_string(reader);  // a comment
  }
  std::stable_partition(keys_.begin(), keys_.end(), [](const base::Bytes& key) { return !is_rsa(key); });
}

base::Bytes SshAgent::sign(base::ByteView key, base::ByteView data) {
  base::Bytes request;
  SftpPacketWriter packet(request, k_request_signature);
  packet.u32(static_cast<std::uint32_t>(key.size())).raw(key);
  packet.u32(static_cast<std::uint32_t>(data.size())).raw(data).u32(0).finish();
  const base::Bytes answer = ask(request, deadlines_.sign);
  SftpPacketReader reader(answer);
  if (reader.u8() != k_signature) base::fail(Fault::denied, "does not sign");
  const base::Bytes signature = next_string(reader);
  SftpPacketReader parts(signature);
  next_string(parts);  // its format
  return next_string(parts);
}

base::Bytes SshAgent::ask(base::ByteView request, base::Milliseconds deadline) {
  const auto receive = [&](base::ByteSpan into) {
    transfer(into.size(), POLLIN, deadline,
             [&](std::size_t done) { return ::recv(socket_.get(), into.data() + done, into.size() - done, 0); });
  };
  transfer(request.size(), POLLOUT, deadline, [&](std::size_t done) {
    return ::send(socket_.get(), request.data() + done, request.size() - done, MSG_NOSIGNAL);
  });
  base::Bytes header(k_header_bytes);
  receive(header);
  const std::uint32_t length = SftpPacketReader(header).u32();
  if (length == 0 || length > k_answer_bytes_max) base::fail(Fault::unavailable, "is no agent at '{}'", name_);
  base::Bytes answer(length);
  receive(answer);
  return answer;
}

// Calls some(bytes done) until all `size` bytes are.
template <typename Transfer>
void SshAgent::transfer(std::size_t size, short events, base::Milliseconds deadline, Transfer&& some) {
  const base::Stopwatch watch;
  for (std::size_t done = 0; done < size;) {
    if (stop_.stop_requested()) base::fail(Fault::cancelled, "stopped while ssh-agent was asked");
    const base::Milliseconds left = deadline - watch.elapsed();
    if (left <= base::Milliseconds(0)) base::fail(Fault::unavailable, "does not answer at '{}'", name_);
    pollfd ready{socket_.get(), events, 0};
    ::poll(&ready, 1, static_cast<int>(std::min(left, k_look).count()));
    const ssize_t count = some(done);
    if (count > 0) done += static_cast<std::size_t>(count);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
      base::fail(Fault::unavailable, "hangs up at '{}'", name_);
    }
  }
}

}  // namespace icecore::storage
