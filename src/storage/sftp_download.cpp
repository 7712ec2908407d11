// SPDX-License-Identifier: Apache-2.0
#include "storage/sftp_download.hpp"

#include <algorithm>
#include <deque>

#include "base/error.hpp"
#include "storage/sftp_fault.hpp"

namespace icecore::storage {

using base::Fault;
using Id = SftpChannel::Id;

namespace {

// Bytes asked for and not yet there; less than the window that SshSession gives the server.
constexpr std::size_t k_asked_bytes_max = 6 * base::k_mib;
// Unanswered questions after names.
constexpr std::size_t k_looks_max = 256;
// So much is taken on a server's word for a file's size; memory for more is had as the bytes come.
constexpr std::size_t k_believed_bytes = 64 * base::k_mib;

// Fills `into` with what stands at `offset`; false when the file ends before. The server may give less than asked for,
// then the rest is asked for again.
class Reading {
 public:
  Reading(SftpChannel& channel, std::string handle, std::uint64_t offset, base::ByteSpan into)
      : channel_(channel), handle_(std::move(handle)), offset_(offset), into_(into) {}

  void run(const std::string& what) {
    const std::size_t reads_max = std::max<std::size_t>(1, k_asked_bytes_max / channel_.read_bytes_max());
    for (std::size_t at = 0; at < into_.size() && !refusal_;) {
      const std::size_t count = std::min(into_.size() - at, channel_.read_bytes_max());
      ask(at, count);
      at += count;
      while (reads_.size() >= reads_max) settle();
    }
    while (!reads_.empty()) settle();
    if (!refusal_) return;
    if (refusal_->status != SftpStatus::end) fail_read(*refusal_, what);
    base::fail(Fault::corrupt, "{}: it ends before byte {}", what, offset_ + into_.size());
  }

 private:
  struct Read {
    Id id;
    std::size_t at;
    std::size_t count;
  };

  void ask(std::size_t at, std::size_t count) {
    reads_.push_back({channel_.read(handle_, offset_ + at, into_.subspan(at, count)), at, count});
  }
  void settle() {
    const Read read = reads_.front();
    reads_.pop_front();
    SftpReply reply = channel_.await(read.id);
    if (reply.type != SftpType::data || reply.count == 0) {
      if (!refusal_) refusal_ = std::move(reply);
    } else if (reply.count < read.count && !refusal_) {
      ask(read.at + reply.count, read.count - reply.count);
    }
  }

  SftpChannel& channel_;
  const std::string handle_;
  const std::uint64_t offset_;
  const base::ByteSpan into_;
  std::deque<Read> reads_;
  std::optional<SftpReply> refusal_;
};

template <typename Action>
void then_close(SftpChannel& channel, const std::string& handle, Action&& read) {
  try {
    read();
  } catch (const base::Error&) {
    if (channel.is_settled()) channel.close_later(handle);
    throw;
  }
  channel.close_later(handle);
}

base::Bytes read_all(SftpChannel& channel, const std::string& handle, std::uint64_t size, const std::string& what) {
  base::Bytes bytes;
  then_close(channel, handle, [&] {
    while (bytes.size() < size) {
      const std::size_t done = bytes.size();
      bytes.resize(done + static_cast<std::size_t>(std::min<std::uint64_t>(size - done, k_believed_bytes)));
      Reading(channel, handle, done, base::ByteSpan(bytes).subspan(done)).run(what);
    }
  });
  return bytes;
}

std::string reading(const std::string& path) { return "cannot read '" + path + "'"; }

}  // namespace

base::Bytes download(SftpChannel& channel, const std::string& path, std::uint64_t size_max) {
  const Id opening = channel.open(path, k_sftp_read);
  const Id looking = channel.path_request(SftpType::stat, path);
  const SftpReply opened = channel.await(opening);
  const SftpReply seen = channel.await(looking);
  if (!opened.ok()) fail_status(opened, reading(path));
  const std::string handle = SftpChannel::handle_of(opened);
  std::optional<std::uint64_t> size;
  if (seen.type == SftpType::attributes) size = SftpPacketReader(seen.body).attributes().size;
  if (!size || *size > size_max) {
    channel.close_later(handle);
    if (!size) fail_status(seen, reading(path));
    base::fail(Fault::corrupt, "{}: it is larger than {} bytes", reading(path), size_max);
  }
  return read_all(channel, handle, *size, reading(path));
}

base::Bytes download_range(SftpChannel& channel, const std::string& path, std::uint64_t offset, std::size_t length) {
  const SftpReply opened = channel.await(channel.open(path, k_sftp_read));
  if (!opened.ok()) fail_status(opened, reading(path));
  const std::string handle = SftpChannel::handle_of(opened);
  base::Bytes bytes(length);
  then_close(channel, handle, [&] { Reading(channel, handle, offset, bytes).run(reading(path)); });
  return bytes;
}

std::optional<SftpAttributes> look_at(SftpChannel& channel, const std::string& path) {
  return look_at(channel, std::vector{path}).front();
}

std::vector<std::optional<SftpAttributes>> look_at(SftpChannel& channel, const std::vector<std::string>& paths) {
  std::deque<Id> asked;
  std::vector<std::optional<SftpAttributes>> found;
  std::optional<SftpReply> refusal;
  const auto settle = [&] {
    const SftpReply seen = channel.await(asked.front());
    asked.pop_front();
    const bool is_there = seen.type == SftpType::attributes;
    found.push_back(is_there ? std::optional(SftpPacketReader(seen.body).attributes()) : std::nullopt);
    if (!is_there && seen.status != SftpStatus::no_such_file && !refusal) refusal = seen;
  };
  for (const std::string& path : paths) {
    while (asked.size() >= k_looks_max) settle();
    asked.push_back(channel.path_request(SftpType::stat, path));
  }
  while (!asked.empty()) settle();
  if (refusal) fail_status(*refusal, "cannot look at '" + paths.front() + (paths.size() > 1 ? "' and others" : "'"));
  return found;
}

}  // namespace icecore::storage
