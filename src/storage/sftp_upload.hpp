// SPDX-License-Identifier: Apache-2.0
// Storing one object: folders, temporary name, bytes, fsync, rename, in three round trips and what the bytes take. In
// steps that can be taken while another object is on its way over the same channel (sftp_pipeline.hpp).
#pragma once

#include <deque>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "base/error.hpp"
#include "storage/sftp_channel.hpp"

namespace icecore::storage {

struct SftpObject {
  std::string path;                            // final
  std::string temporary;                       // beside it; new for each attempt
  std::string abandoned;                       // the temporary of a broken attempt before, or empty
  std::vector<std::string> folders;            // to make first, outermost first; those that exist are no error
  std::span<const base::ByteView> parts = {};  // the bytes, and behind them
  std::filesystem::path file = {};             // those of this local file, if any
  bool replace = false;                        // true: an object that exists is replaced; false: it stays
};

// An object that is there already is kept when it is as long, and is Fault::conflict otherwise, unless `replace`.
//
// What keeps the object from being stored is remembered, and thrown by finish(). Any method throws at once when the
// connection breaks; that may leave the temporary.
class SftpUpload {
 public:
  // Asks for the folders, the open temporary, and whether the object exists. Both outlive it.
  SftpUpload(SftpChannel& channel, const SftpObject& object);

  // Sends a piece of the bytes, or the request to make them durable behind the last. False: nothing more is to be sent.
  bool send_some();
  std::uint64_t bytes_left() const noexcept { return size_ - offset_; }
  bool has_failed() const noexcept { return failure_ || refusal_; }

  // After all is sent: waits until the bytes are durable under the temporary name, or are refused.
  void settle_bytes();

  // After all is sent. True: the object is there and, where the server has fsync, survives its power loss. Else it
  // throws, and left nothing behind: Fault::no_space, denied, conflict, not_found, unavailable. try_finish() goes as
  // far as it can without waiting, and is false when the server has not answered.
  bool try_finish() { return go_on(/*wait=*/false); }
  void finish() { go_on(/*wait=*/true); }
  // Instead of that, before or after all is sent: nothing stays.
  void discard();

 private:
  using Id = SftpChannel::Id;

  template <typename Action>
  void note_failure(Action&& action);
  void open();
  void settle_open();
  void note_folder(SftpReply reply);
  void write(base::ByteView bytes);
  void write_piece();
  void settle_write();
  bool go_on(bool wait);
  void name();
  void settle_name();
  void resolve(const SftpReply& renamed);
  void expect_same_size(const SftpAttributes& found) const;
  [[noreturn]] void fail();

  SftpChannel& channel_;
  const SftpObject& object_;
  std::uint64_t parts_bytes_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t offset_ = 0;
  std::vector<Id> ignored_;  // their answers matter little
  std::optional<Id> opening_;
  Id looking_ = 0;
  std::string handle_;  // empty: not open, or no more of our concern
  std::deque<Id> writes_;
  Id renaming_ = 0;
  std::optional<Id> syncing_;
  std::optional<Id> closing_;
  std::optional<SftpReply> refusal_;
  std::optional<base::Error> failure_;
  SftpReply folder_reply_;  // of the innermost folder with one above it
};

}  // namespace icecore::storage
