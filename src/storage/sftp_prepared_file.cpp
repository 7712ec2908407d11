// SPDX-License-Identifier: Apache-2.0
#include "storage/sftp_prepared_file.hpp"

#include "base/log.hpp"
#include "storage/temporary_name.hpp"

namespace icecore::storage {

SftpPreparedFile::SftpPreparedFile(SftpPool::Lease channel, SftpBatch::Item item, StoreAnew store_anew)
    : item_(std::move(item)), store_anew_(std::move(store_anew)), channel_(std::move(channel)) {
  item_.object.temporary = new_temporary(item_.object.path);
  item_.object.folders = item_.folders;
  upload_.emplace(**channel_, item_.object);
  while (upload_->send_some()) continue;
  upload_->settle_bytes();
}

SftpPreparedFile::~SftpPreparedFile() {
  if (!upload_) return;
  try {
    upload_->discard();
  } catch (const std::exception& error) {
    base::log_info("'{}' may be left behind: {}", item_.object.temporary, error.what());
  }
}

// The connection may have died since, and the server with what it had not written: then all is sent again, and the old
// temporary removed.
void SftpPreparedFile::store() {
  bool stored = false;
  try {
    upload_->finish();
    stored = true;
  } catch (const base::Error& error) {
    base::log_info("'{}' is sent again: {}", item_.name, error.what());
  }
  upload_.reset();
  channel_.reset();
  if (!stored) store_anew_(std::move(item_));
}

}  // namespace icecore::storage
