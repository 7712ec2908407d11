// SPDX-License-Identifier: Apache-2.0
// A TCP connection, and how to tell whether the other end still lives.
#pragma once

#include <cstdint>
#include <string>

#include "base/handle.hpp"
#include "storage/ssh_deadlines.hpp"

namespace icecore::storage {

// Connects to the first of the host's addresses that answers. The socket does not block. Throws Fault::unavailable.
// A look-up that hangs is left to itself: its thread ends when the system's resolver gives up.
base::Fd connect_tcp(const std::string& host, int port, const SshDeadlines& deadlines);

// Bytes the other end has sent, and has confirmed to have from us.
struct TcpTraffic {
  std::uint64_t received = 0;
  std::uint64_t confirmed = 0;
};
TcpTraffic tcp_traffic(int socket) noexcept;

// True when the other end has closed or reset it.
bool has_hung_up(int socket) noexcept;

}  // namespace icecore::storage
