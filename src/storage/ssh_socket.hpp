// SPDX-License-Identifier: Apache-2.0
// A TCP connection, and how to tell whether the other end still lives.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.hpp"
#include "base/handle.hpp"

namespace icecore::storage {

// Connects to the first of the host's addresses that answers; the deadline is for each. The socket does not block.
// Throws Fault::unavailable. Looking the name up takes as long as the system's resolver allows.
base::Fd connect_tcp(const std::string& host, int port, base::Milliseconds deadline);

// Bytes the other end has sent, and has confirmed to have from us.
struct TcpTraffic {
  std::uint64_t received = 0;
  std::uint64_t confirmed = 0;
};
TcpTraffic tcp_traffic(int socket) noexcept;

// True when the other end has closed or reset it.
bool has_hung_up(int socket) noexcept;

}  // namespace icecore::storage
