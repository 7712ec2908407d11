// SPDX-License-Identifier: Apache-2.0
#include "storage/sftp_upload.hpp"

#include <algorithm>
#include <deque>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "storage/sftp_fault.hpp"

namespace icecore::storage {

using base::Fault;
using Id = SftpChannel::Id;

namespace {

// Unanswered writes. The server's window bounds the bytes under way long before; this bounds what is remembered.
constexpr std::size_t k_writes_max = 256;
constexpr std::size_t k_piece_bytes = base::k_mib;  // of a file, in memory at a time

class Upload {
 public:
  Upload(SftpChannel& channel, const SftpUpload& object) : channel_(channel), object_(object) {
    for (const base::ByteView part : object.parts) size_ += part.size();
    size_ += object.file_bytes;
  }

  void run() {
    if (!open()) return;
    for (const base::ByteView part : object_.parts) write(part);
    write_file();
    if (channel_.has_sync()) writes_.push_back(channel_.sync(handle_));
    while (!writes_.empty()) settle_write();
    if (refusal_) give_up(*refusal_);
    publish();
  }

 private:
  // One round trip makes the folders, opens the temporary, and looks whether the object exists. False: it does.
  bool open() {
    std::vector<Id> ignored;
    if (!object_.abandoned.empty()) ignored.push_back(channel_.path_request(SftpType::remove, object_.abandoned));
    for (const std::string& folder : object_.folders) ignored.push_back(channel_.make_folder(folder));
    const Id opening = channel_.open(object_.temporary, k_sftp_write | k_sftp_create | k_sftp_exclusive);
    const Id looking = channel_.path_request(SftpType::stat, object_.path);
    for (const Id id : ignored) note_folder(channel_.await(id));
    const SftpReply opened = channel_.await(opening);
    const SftpReply seen = channel_.await(looking);
    if (!opened.ok()) refuse_open(opened);
    handle_ = SftpChannel::handle_of(opened);
    if (seen.type != SftpType::attributes || object_.replace) return true;
    discard();
    expect_same_size(SftpPacketReader(seen.body).attributes());
    return false;
  }

  // Below a folder that could not be made there is no such file either.
  void note_folder(SftpReply reply) {
    if (reply.status != SftpStatus::no_such_file) folder_reply_ = std::move(reply);
  }

  // A folder that could not be made is why its file could not be opened.
  [[noreturn]] void refuse_open(const SftpReply& opened) {
    const bool folder_missing = opened.status == SftpStatus::no_such_file && !folder_reply_.ok();
    fail_write(channel_, folder_missing ? folder_reply_ : opened, above(object_.path),
               "cannot write '" + object_.path + "'");
  }

  void write(base::ByteView bytes) {
    while (!bytes.empty() && !refusal_) {
      const std::size_t count = std::min(bytes.size(), channel_.write_bytes_max());
      writes_.push_back(channel_.write(handle_, offset_, bytes.first(count)));
      offset_ += count;
      bytes = bytes.subspan(count);
      while (channel_.is_busy(k_writes_max)) settle_write();
    }
  }

  void write_file() {
    for (std::uint64_t at = 0; offset_ < size_ && !refusal_; at += k_piece_bytes) {
      const std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(k_piece_bytes, size_ - offset_));
      write(base::read_file_range(object_.file, at, count));
    }
  }

  void settle_write() {
    SftpReply reply = channel_.await(writes_.front());
    writes_.pop_front();
    if (!reply.ok() && !refusal_) refusal_ = std::move(reply);
  }

  // The second fsync is for the name: a file system that logs a file's own change logs the rename with it.
  void publish() {
    const bool atomic = object_.replace && channel_.has_replace();
    std::vector<Id> ignored;
    if (object_.replace && !atomic) ignored.push_back(channel_.path_request(SftpType::remove, object_.path));
    const Id renaming =
        atomic ? channel_.replace(object_.temporary, object_.path) : channel_.rename(object_.temporary, object_.path);
    const std::optional<Id> syncing = channel_.has_sync() ? std::optional(channel_.sync(handle_)) : std::nullopt;
    ignored.push_back(channel_.close(handle_));
    const SftpReply renamed = channel_.await(renaming);
    const SftpReply synced = syncing ? channel_.await(*syncing) : SftpReply{};
    for (const Id id : ignored) channel_.await(id);
    if (!renamed.ok()) resolve(renamed);
    if (!synced.ok()) fail_write(channel_, synced, above(object_.path), "cannot sync '" + object_.path + "'");
  }

  // The rename failed: somebody else may have stored the same object meanwhile.
  void resolve(const SftpReply& renamed) {
    const Id removing = channel_.path_request(SftpType::remove, object_.temporary);
    const SftpReply seen = channel_.await(channel_.path_request(SftpType::stat, object_.path));
    channel_.await(removing);
    if (seen.type != SftpType::attributes || object_.replace) {
      fail_write(channel_, renamed, above(object_.path), "cannot rename to '" + object_.path + "'");
    }
    expect_same_size(SftpPacketReader(seen.body).attributes());
  }

  void expect_same_size(const SftpAttributes& found) const {
    if (found.size == size_) return;
    base::fail(Fault::conflict, "object '{}' exists with {} bytes instead of {}", object_.path, found.size.value_or(0),
               size_);
  }

  // The file system is asked before the temporary is gone, while it still is as full as it was.
  [[noreturn]] void give_up(const SftpReply& refusal) {
    try {
      fail_write(channel_, refusal, above(object_.path), "cannot write '" + object_.path + "'");
    } catch (const base::Error&) {
      discard();
      throw;
    }
  }

  void discard() {
    const Id closing = channel_.close(handle_);
    const Id removing = channel_.path_request(SftpType::remove, object_.temporary);
    channel_.await(closing);
    channel_.await(removing);
  }

  static std::string above(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : path.substr(0, std::max<std::size_t>(slash, 1));
  }

  SftpChannel& channel_;
  const SftpUpload& object_;
  std::uint64_t size_ = 0;
  std::uint64_t offset_ = 0;
  std::string handle_;
  std::deque<Id> writes_;
  std::optional<SftpReply> refusal_;
  SftpReply folder_reply_;  // of the innermost folder with one above it
};

}  // namespace

void upload(SftpChannel& channel, const SftpUpload& object) { Upload(channel, object).run(); }

}  // namespace icecore::storage
