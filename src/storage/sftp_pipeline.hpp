// SPDX-License-Identifier: Apache-2.0
// Storing objects one after another over one channel without a pause between them: the next one is opened while the
// bytes of the last are on their way, and has its own sent while that one becomes durable and gets its name. A server's
// window stays full so, however far away it is.
#pragma once

#include <functional>
#include <stop_token>

#include "storage/sftp_upload.hpp"

namespace icecore::storage {

// What is to be stored, and who hears of it. Both are called while bytes are under way: nothing in them waits for long,
// or it would look as if the server were silent.
struct SftpPipeline {
  std::function<const SftpObject*()> next;  // it stays until it is stored; null: there is none now
  std::function<void()> stored;             // the oldest of those that next() gave
  std::stop_token stop = {};                // an object whose bytes are not yet on their way then is left
};

// Throws at the first that fails (sftp_upload.hpp), or what next() and stored() throw. Of those that were not stored,
// two at most, nothing is left then, unless the connection broke.
void upload_all(SftpChannel& channel, const SftpPipeline& objects);
void upload(SftpChannel& channel, const SftpObject& object);

}  // namespace icecore::storage
