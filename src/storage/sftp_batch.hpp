// SPDX-License-Identifier: Apache-2.0
// Objects on their way to a server, over as many connections as it takes: which of them are begun and not stored, what
// a broken connection left of them, and which folders they need.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/guarded.hpp"
#include "storage/sftp_pipeline.hpp"

namespace icecore::storage {

// Those on the server that are known to exist; others may remove them.
using KnownFolders = base::Guarded<std::set<std::string>>;

class SftpBatch {
 public:
  struct Item {
    std::string name;
    SftpObject object;                 // path and what it holds; the rest is filled in
    std::vector<std::string> folders;  // all it lies in below the root, outermost first
    bool doubted = false;
  };
  using Next = std::function<std::optional<Item>()>;
  using Stored = std::function<void(const std::string& name)>;

  SftpBatch(KnownFolders& known, Next next, Stored stored)
      : known_(known), next_(std::move(next)), stored_(std::move(stored)) {}

  // Stores them over this connection, those first that were left by the last; as upload_all().
  void send(SftpChannel& channel, const std::stop_token& stop);
  // There was no such folder: the first one's are made the next time, known or not. False: they were.
  bool doubt_folders();
  // Whether one was stored since this was last asked.
  bool take_progress() noexcept { return std::exchange(progress_, false); }

 private:
  const SftpObject* begin_next();
  void note_stored();

  KnownFolders& known_;
  Next next_;
  Stored stored_;
  std::deque<Item> items_;  // given by next_ and not stored, oldest first
  std::size_t begun_ = 0;   // of them, over this connection
  bool progress_ = false;
};

}  // namespace icecore::storage
