// SPDX-License-Identifier: Apache-2.0
// From a fresh TCP connection to an authenticated SSH session: handshake, host key, user.
#pragma once

#include <functional>
#include <stop_token>

#include "storage/ssh_target.hpp"

struct _LIBSSH2_SESSION;

namespace icecore::storage {

// Waits until the socket can get on, or throws Fault::unavailable when the login's time is over.
using SshWait = std::function<void()>;

// Exchanges keys, asking for a host key that known_hosts knows where there is one.
void ssh_handshake(_LIBSSH2_SESSION* session, int socket, const SshTarget& target, const SshWait& wait);

// Fault::denied for an unknown or revoked key, Fault::conflict for a changed one, each with its fingerprint. An
// unknown key is learned when the target says so.
void check_host_key(_LIBSSH2_SESSION* session, const SshTarget& target);

// Tries ssh-agent, unless a stop is asked for, key files, then the password from ICECORE_SSH_PASSWORD_FILE or
// ICECORE_SSH_PASSWORD. A key file's passphrase comes from ICECORE_SSH_KEY_PASSPHRASE_FILE. Fault::denied naming what
// was tried.
void authenticate(_LIBSSH2_SESSION* session, const SshTarget& target, const SshWait& wait, const std::stop_token& stop);

// libssh2's own words on what went wrong last.
std::string ssh_message(_LIBSSH2_SESSION* session);

// Calls `step` until it no longer says that it would block; returns its last result.
template <typename Step>
int finish_step(Step&& step, const SshWait& wait) {
  constexpr int k_would_block = -37;  // LIBSSH2_ERROR_EAGAIN
  for (;;) {
    const int result = static_cast<int>(step());
    if (result != k_would_block) return result;
    wait();
  }
}

}  // namespace icecore::storage
