// SPDX-License-Identifier: Apache-2.0
// A file whose bytes a server has under a temporary name, waiting for its own over a connection that is kept for it.
#pragma once

#include <functional>
#include <optional>

#include "storage/sftp_batch.hpp"
#include "storage/sftp_pool.hpp"
#include "storage/storage.hpp"

namespace icecore::storage {

class SftpPreparedFile final : public PreparedFile {
 public:
  // Stores an item from the beginning, over other connections.
  using StoreAnew = std::function<void(SftpBatch::Item)>;

  // Sends the bytes; what the server has against them is told by store(). The pool outlives it. Fault::unavailable.
  SftpPreparedFile(SftpPool::Lease channel, SftpBatch::Item item, StoreAnew store_anew);
  ~SftpPreparedFile() override;

  void store() override;

 private:
  SftpBatch::Item item_;
  StoreAnew store_anew_;
  std::optional<SftpPool::Lease> channel_;
  std::optional<SftpUpload> upload_;  // over it, of item_; nothing: stored, or given up
};

}  // namespace icecore::storage
