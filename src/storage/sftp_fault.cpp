// SPDX-License-Identifier: Apache-2.0
#include "storage/sftp_fault.hpp"

#include "base/error.hpp"

namespace icecore::storage {

using base::Fault;

namespace {

constexpr std::uint64_t k_read_only = 0x1;
// A file system with less than this is as good as full: some is kept for root, some for metadata.
constexpr std::uint64_t k_free_bytes_min = 2 * base::k_mib;

struct FileSystem {
  std::uint64_t free_bytes = 0;
  std::uint64_t free_files = 0;
  bool read_only = false;
};

FileSystem parse_file_system(const SftpReply& reply) {
  SftpPacketReader reader(reply.body);
  FileSystem found;
  reader.u64();  // block size
  const std::uint64_t unit = reader.u64();
  reader.u64();  // blocks
  reader.u64();  // free
  found.free_bytes = unit * reader.u64();
  const std::uint64_t files = reader.u64();
  reader.u64();  // free for root
  found.free_files = files == 0 ? 1 : reader.u64();
  if (files == 0) reader.u64();  // file systems that make inodes as they go say 0
  reader.u64();                  // id
  found.read_only = (reader.u64() & k_read_only) != 0;
  return found;
}

// What was to be written to may be a folder that could not be made.
SftpReply ask_file_system(SftpChannel& channel, std::string folder) {
  if (!channel.has_file_system()) return {};
  for (;;) {
    SftpReply answer = channel.await(channel.file_system(folder));
    const std::size_t slash = folder.rfind('/');
    const bool is_top = slash == std::string::npos || slash == 0;
    if (answer.type == SftpType::extended_reply || answer.status != SftpStatus::no_such_file || is_top) return answer;
    folder.resize(slash);
  }
}

}  // namespace

void fail_status(const SftpReply& reply, const std::string& what) {
  const std::string said = reply.message.empty() ? "" : fmt::format(" ('{}')", reply.message);
  switch (reply.status) {
    case SftpStatus::no_such_file: base::fail(Fault::not_found, "{}: there is no such file", what);
    case SftpStatus::permission_denied: base::fail(Fault::denied, "{}: no permission", what);
    case SftpStatus::write_protected: base::fail(Fault::denied, "{}: its file system is read-only", what);
    case SftpStatus::no_space: base::fail(Fault::no_space, "{}: its file system is full", what);
    case SftpStatus::quota: base::fail(Fault::no_space, "{}: the quota is used up", what);
    case SftpStatus::unsupported: base::fail(Fault::internal, "{}: the server cannot do that", what);
    case SftpStatus::failure: base::fail(Fault::denied, "{}: the server fails at it{}", what, said);
    case SftpStatus::ok:
    case SftpStatus::end: break;
  }
  base::fail(Fault::unavailable, "{}: the server answered something else{}", what, said);
}

void fail_read(const SftpReply& reply, const std::string& what) {
  if (reply.status != SftpStatus::failure) fail_status(reply, what);
  base::fail(Fault::corrupt, "{}: the server cannot read what it holds; is its disk damaged?", what);
}

void fail_write(SftpChannel& channel, const SftpReply& reply, const std::string& folder, const std::string& what) {
  if (reply.status != SftpStatus::failure) fail_status(reply, what);
  const SftpReply answer = ask_file_system(channel, folder);
  if (answer.type != SftpType::extended_reply) {
    base::fail(Fault::no_space, "{}: the server refuses without a reason: a full file system or a quota?", what);
  }
  const FileSystem place = parse_file_system(answer);
  if (place.read_only) base::fail(Fault::denied, "{}: its file system is read-only", what);
  if (place.free_files == 0) base::fail(Fault::no_space, "{}: its file system has no room for more files", what);
  if (place.free_bytes < k_free_bytes_min) {
    base::fail(Fault::no_space, "{}: its file system is full, {} are free", what, base::format_size(place.free_bytes));
  }
  base::fail(Fault::no_space, "{}: the server refuses without a reason, though {} are free: a quota?", what,
             base::format_size(place.free_bytes));
}

}  // namespace icecore::storage
