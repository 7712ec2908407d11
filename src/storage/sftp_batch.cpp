// SPDX-License-Identifier: Apache-2.0
#include "storage/sftp_batch.hpp"

#include <utility>

#include "storage/temporary_name.hpp"

namespace icecore::storage {

void SftpBatch::send(SftpChannel& channel, const std::stop_token& stop) {
  begun_ = 0;
  upload_all(channel, {.next = [&] { return begin_next(); }, .stored = [&] { note_stored(); }, .stop = stop});
}

const SftpObject* SftpBatch::begin_next() {
  if (begun_ == items_.size()) {
    std::optional<Item> item = next_();
    if (!item) return nullptr;
    items_.push_back(std::move(*item));
  }
  Item& item = items_[begun_++];
  SftpObject& object = item.object;
  object.abandoned = std::exchange(object.temporary, new_temporary(object.path));
  object.folders = item.folders;
  known_.with([&](const std::set<std::string>& known) {
    std::erase_if(object.folders, [&](const std::string& folder) { return known.contains(folder); });
  });
  return &object;
}

void SftpBatch::note_stored() {
  const Item item = std::move(items_.front());
  items_.pop_front();
  --begun_;
  progress_ = true;
  known_.with([&](std::set<std::string>& known) { known.insert(item.folders.begin(), item.folders.end()); });
  stored_(item.name);
}

bool SftpBatch::doubt_folders() {
  if (items_.empty() || items_.front().folders.empty() || std::exchange(items_.front().doubted, true)) return false;
  known_.with([&](std::set<std::string>& known) {
    for (const std::string& folder : items_.front().folders) known.erase(folder);
  });
  return true;
}

}  // namespace icecore::storage
