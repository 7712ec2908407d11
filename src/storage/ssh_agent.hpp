// SPDX-License-Identifier: Apache-2.0
// An ssh-agent at its Unix socket (draft-miller-ssh-agent): the keys it holds, and signatures by them. Not libssh2's,
// which waits for ever for an agent that hangs.
//
// Threads: one at a time. After Fault::unavailable or cancelled it is good for nothing but destruction.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/handle.hpp"

namespace icecore::storage {

struct SshAgentDeadlines {
  base::Milliseconds list{5'000};
  base::Milliseconds sign{30'000};  // somebody may have to confirm it
};

class SshAgent {
 public:
  // Connects and asks for the keys. Fault::unavailable when it does not answer in time, or not as an agent does;
  // cancelled when asked to stop meanwhile.
  SshAgent(const std::string& socket, const SshAgentDeadlines& deadlines, std::stop_token stop);

  // Their public halves, as in the protocol. RSA keys come last: libssh2 has only their SHA-1 signatures, which servers
  // refuse today, and after some refusals they hang up.
  const std::vector<base::Bytes>& keys() const noexcept { return keys_; }

  // The signature without its format's name. Fault::denied when the agent refuses; else as above.
  base::Bytes sign(base::ByteView key, base::ByteView data);

 private:
  base::Bytes ask(base::ByteView request, base::Milliseconds deadline);
  template <typename Transfer>
  void transfer(std::size_t size, short events, base::Milliseconds deadline, Transfer&& some);

  const std::string name_;
  const SshAgentDeadlines deadlines_;
  const std::stop_token stop_;
  base::Fd socket_;
  std::vector<base::Bytes> keys_;
};

}  // namespace icecore::storage
