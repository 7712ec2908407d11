// SPDX-License-Identifier: Apache-2.0
#include "base/id.hpp"

#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/bytes.hpp"
#include "base/error.hpp"

namespace icecore::base {

namespace {

Bytes random_bytes(std::size_t count) {
  Bytes bytes(count);
  // getrandom() never returns less than asked for up to 256 bytes once the pool is seeded (getrandom(2)).
  if (count > 256 || ::getrandom(bytes.data(), count, 0) != static_cast<ssize_t>(count)) {
    fail_errno(errno, "getrandom");
  }
  return bytes;
}

}  // namespace

std::string random_id(std::size_t bytes) { return to_hex(random_bytes(bytes)); }

std::string random_uuid() {
  Bytes bytes = random_bytes(16);
  bytes[6] = (bytes[6] & std::byte{0x0f}) | std::byte{0x40};
  bytes[8] = (bytes[8] & std::byte{0x3f}) | std::byte{0x80};
  const std::string hex = to_hex(bytes);
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" + hex.substr(16, 4) + "-" +
         hex.substr(20);
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) fail_errno(errno, "gethostname");
  return name.data();
}

}  // namespace icecore::base
