// SPDX-License-Identifier: Apache-2.0
#include "storage/sftp_upload.hpp"

#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "base/durable_file.hpp"
#include "storage/sftp_fault.hpp"

namespace icecore::storage {

using base::Fault;

namespace {

// Unanswered writes. The server's window bounds the bytes under way long before; this bounds what is remembered.
constexpr std::size_t k_writes_max = 256;
constexpr std::size_t k_piece_bytes = base::k_mib;  // of a file, in memory at a time

std::uint64_t size_of_file(const std::filesystem::path& file) {
  return base::file_size(base::open_file(file, O_RDONLY).get(), file);
}

std::string above(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, std::max<std::size_t>(slash, 1));
}

}  // namespace

SftpUpload::SftpUpload(SftpChannel& channel, const SftpObject& object) : channel_(channel), object_(object) {
  for (const base::ByteView part : object.parts) parts_bytes_ += part.size();
  size_ = parts_bytes_;
  note_failure([&] {
    if (!object.file.empty()) size_ += size_of_file(object.file);
  });
  open();
}

// Only around what sends nothing: a broken connection is no failure of the object's.
template <typename Action>
void SftpUpload::note_failure(Action&& action) {
  try {
    action();
  } catch (const base::Error& error) {
    failure_ = error;
  }
}

// One round trip makes the folders, opens the temporary, and looks whether the object exists.
void SftpUpload::open() {
  if (!object_.abandoned.empty()) ignored_.push_back(channel_.path_request(SftpType::remove, object_.abandoned));
  if (failure_) return;
  for (const std::string& folder : object_.folders) ignored_.push_back(channel_.make_folder(folder));
  opening_ = channel_.open(object_.temporary, k_sftp_write | k_sftp_create | k_sftp_exclusive);
  looking_ = channel_.path_request(SftpType::stat, object_.path);
}

void SftpUpload::settle_open() {
  for (const Id id : std::exchange(ignored_, {})) note_folder(channel_.await(id));
  if (!opening_) return;
  const SftpReply opened = channel_.await(*std::exchange(opening_, std::nullopt));
  const SftpReply seen = channel_.await(looking_);
  if (!opened.ok()) {
    // A folder that could not be made is why its file could not be opened.
    const bool folder_missing = opened.status == SftpStatus::no_such_file && !folder_reply_.ok();
    refusal_ = folder_missing ? folder_reply_ : opened;
    return;
  }
  note_failure([&] { handle_ = SftpChannel::handle_of(opened); });
  if (seen.type != SftpType::attributes || object_.replace) return;
  discard();
  note_failure([&] { expect_same_size(SftpPacketReader(seen.body).attributes()); });
}

// Below a folder that could not be made there is no such file either.
void SftpUpload::note_folder(SftpReply reply) {
  if (reply.status != SftpStatus::no_such_file) folder_reply_ = std::move(reply);
}

bool SftpUpload::send_some() {
  settle_open();
  if (handle_.empty()) return false;  // refused, or there already
  if (offset_ == 0) {
    for (const base::ByteView part : object_.parts) write(part);
  }
  if (offset_ >= parts_bytes_ && offset_ < size_) write_piece();
  if (has_failed()) return false;
  if (offset_ < size_) return true;
  if (channel_.has_sync()) writes_.push_back(channel_.sync(handle_));
  return false;
}

void SftpUpload::write_piece() {
  base::Bytes piece;
  note_failure([&] {
    const std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(k_piece_bytes, bytes_left()));
    piece = base::read_file_range(object_.file, offset_ - parts_bytes_, count);
  });
  write(piece);
}

void SftpUpload::write(base::ByteView bytes) {
  while (!bytes.empty() && !refusal_) {
    const std::size_t count = std::min(bytes.size(), channel_.write_bytes_max());
    writes_.push_back(channel_.write(handle_, offset_, bytes.first(count)));
    offset_ += count;
    bytes = bytes.subspan(count);
    while (writes_.size() >= k_writes_max || (!writes_.empty() && channel_.is_answered(writes_.front())))
      settle_write();
  }
}

void SftpUpload::settle_write() {
  SftpReply reply = channel_.await(writes_.front());
  writes_.pop_front();
  if (!reply.ok() && !refusal_) refusal_ = std::move(reply);
}

void SftpUpload::settle_bytes() {
  settle_open();
  while (!writes_.empty()) settle_write();
}

bool SftpUpload::go_on(bool wait) {
  while (!writes_.empty() && (wait || channel_.is_answered(writes_.front()))) settle_write();
  if (!writes_.empty()) return false;
  if (has_failed()) fail();
  if (handle_.empty() && !closing_) return true;  // it was there already
  if (!closing_) name();
  if (!wait && !channel_.is_answered(*closing_)) return false;
  settle_name();
  return true;
}

// The second fsync is for the name: a file system that logs a file's own change logs the rename with it.
void SftpUpload::name() {
  const bool atomic = object_.replace && channel_.has_replace();
  if (object_.replace && !atomic) ignored_.push_back(channel_.path_request(SftpType::remove, object_.path));
  renaming_ =
      atomic ? channel_.replace(object_.temporary, object_.path) : channel_.rename(object_.temporary, object_.path);
  if (channel_.has_sync()) syncing_ = channel_.sync(handle_);
  closing_ = channel_.close(std::exchange(handle_, {}));
}

void SftpUpload::settle_name() {
  const SftpReply renamed = channel_.await(renaming_);
  const SftpReply synced = syncing_ ? channel_.await(*syncing_) : SftpReply{};
  channel_.await(*std::exchange(closing_, std::nullopt));
  for (const Id id : std::exchange(ignored_, {})) channel_.await(id);
  if (!renamed.ok()) resolve(renamed);
  if (!synced.ok()) fail_write(channel_, synced, above(object_.path), "cannot sync '" + object_.path + "'");
}

// The rename failed: somebody else may have stored the same object meanwhile.
void SftpUpload::resolve(const SftpReply& renamed) {
  const Id removing = channel_.path_request(SftpType::remove, object_.temporary);
  const SftpReply seen = channel_.await(channel_.path_request(SftpType::stat, object_.path));
  channel_.await(removing);
  if (seen.type != SftpType::attributes || object_.replace) {
    fail_write(channel_, renamed, above(object_.path), "cannot rename to '" + object_.path + "'");
  }
  expect_same_size(SftpPacketReader(seen.body).attributes());
}

void SftpUpload::expect_same_size(const SftpAttributes& found) const {
  if (found.size == size_) return;
  base::fail(Fault::conflict, "object '{}' exists with {} bytes instead of {}", object_.path, found.size.value_or(0),
             size_);
}

// The file system is asked before the temporary is gone, while it still is as full as it was.
void SftpUpload::fail() {
  try {
    if (refusal_) fail_write(channel_, *refusal_, above(object_.path), "cannot write '" + object_.path + "'");
    throw base::Error(*failure_);
  } catch (const base::Error&) {
    discard();
    throw;
  }
}

void SftpUpload::discard() {
  settle_bytes();
  if (handle_.empty()) return;
  const Id closing = channel_.close(std::exchange(handle_, {}));
  const Id removing = channel_.path_request(SftpType::remove, object_.temporary);
  channel_.await(closing);
  channel_.await(removing);
}

}  // namespace icecore::storage
