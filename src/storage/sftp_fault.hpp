// SPDX-License-Identifier: Apache-2.0
// What a server's refusal means to us. SFTP's own codes do not tell a full file system from a read-only one or a
// quota: where the server has statvfs@openssh.com it is asked.
#pragma once

#include "storage/sftp_channel.hpp"

namespace icecore::storage {

// Fault::not_found, denied, no_space. A failure that says no more is denied, and never unavailable: the server was
// reached and nothing changes by asking again. Unavailable is an answer that makes no sense.
[[noreturn]] void fail_status(const SftpReply& reply, const std::string& what);

// The same for bytes of an open file: a failure that says no more is Fault::corrupt.
[[noreturn]] void fail_read(const SftpReply& reply, const std::string& what);

// The same after something that writes. `folder`: on the file system that was written to; it may be missing.
[[noreturn]] void fail_write(SftpChannel& channel, const SftpReply& reply, const std::string& folder,
                             const std::string& what);

}  // namespace icecore::storage
