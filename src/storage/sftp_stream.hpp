// SPDX-License-Identifier: Apache-2.0
// The two byte streams of an SFTP service, as SftpChannel needs them: SshSession in earnest, a script in tests.
#pragma once

#include <cstddef>

#include "base/bytes.hpp"

namespace icecore::storage {

// Threads: one at a time. After any exception it is good for nothing but destruction.
class SftpStream {
 public:
  virtual ~SftpStream() = default;

  // How many bytes were taken; 0: none for now.
  virtual std::size_t write_some(base::ByteView bytes) = 0;
  // How many bytes came; 0: none for now.
  virtual std::size_t read_some(base::ByteSpan bytes) = 0;
  // Returns when one of them may get on. Throws Fault::unavailable when the peer is gone or has stalled.
  virtual void wait() = 0;
  // To be called before work begins after a pause: silence counts from now.
  virtual void restart_clocks() = 0;
  // True when the other end has closed it.
  virtual bool has_hung_up() const noexcept = 0;
};

}  // namespace icecore::storage
