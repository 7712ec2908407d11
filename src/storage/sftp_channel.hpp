// SPDX-License-Identifier: Apache-2.0
// SFTP requests and their answers over one stream. Any number of requests may be under way: send several, then
// await each, so that a group of them costs one round trip. The server works them off in the order they were sent.
//
// Threads: one at a time. An operation awaits all it has sent before it throws what the server answered; after any
// other exception is_settled() is false and the channel must go.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "storage/sftp_packet.hpp"
#include "storage/sftp_stream.hpp"

namespace icecore::storage {

struct SftpReply {
  SftpType type = SftpType::status;
  SftpStatus status = SftpStatus::ok;
  std::string message;    // of a status
  base::Bytes body;       // behind the request id; without the bytes of data
  std::size_t count = 0;  // of data

  bool ok() const noexcept { return type != SftpType::status || status == SftpStatus::ok; }
};

class SftpChannel {
 public:
  using Id = std::uint32_t;

  // Greets the server.
  explicit SftpChannel(std::unique_ptr<SftpStream> stream);

  // Requests. Paths are the server's.
  Id open(const std::string& path, std::uint32_t flags);
  Id close(const std::string& handle);
  // Goes out with the next request; nobody waits for its answer.
  void close_later(const std::string& handle);
  // The bytes that come are written to `into`, which stays until the answer was awaited.
  Id read(const std::string& handle, std::uint64_t offset, base::ByteSpan into);
  // Gathers the parts, at most write_bytes_max() in all.
  Id write(const std::string& handle, std::uint64_t offset, base::ByteView bytes);
  Id path_request(SftpType type, const std::string& path);  // stat, remove, open_folder
  Id make_folder(const std::string& path);
  Id read_folder(const std::string& handle);
  Id rename(const std::string& from, const std::string& to);
  Id replace(const std::string& from, const std::string& to);  // only where has_replace()
  Id sync(const std::string& handle);                          // only where has_sync()
  Id file_system(const std::string& path);                     // only where has_file_system()

  SftpReply await(Id id);
  // Whether await() would return at once, as far as is known: it looks at nothing new.
  bool is_answered(Id id) const { return answers_.contains(id); }
  // The handle of an OPEN's or OPENDIR's answer.
  static std::string handle_of(const SftpReply& reply);

  bool has_replace() const noexcept { return extensions_.contains("posix-rename@openssh.com"); }
  bool has_sync() const noexcept { return extensions_.contains("fsync@openssh.com"); }
  bool has_file_system() const noexcept { return extensions_.contains("statvfs@openssh.com"); }
  std::size_t read_bytes_max() const noexcept { return read_bytes_max_; }
  std::size_t write_bytes_max() const noexcept { return write_bytes_max_; }

  bool is_settled() const noexcept { return !broken_ && unanswered_.empty() && answers_.empty(); }
  // Nothing more will be answered.
  bool is_broken() const noexcept { return broken_; }
  bool has_hung_up() const noexcept { return stream_->has_hung_up(); }

 private:
  SftpPacketWriter begin(SftpType type, Id& id);
  Id end(SftpPacketWriter& packet, Id id, base::ByteSpan into = {});
  void greet();
  void ask_limits();
  void take_limits(SftpType type, SftpPacketReader& reader);
  bool send();
  bool receive();
  void advance();
  void take_packets();
  void take(base::ByteView packet);

  std::unique_ptr<SftpStream> stream_;
  std::map<std::string, std::string> extensions_;
  std::size_t read_bytes_max_;
  std::size_t write_bytes_max_;
  Id next_ = 1;
  std::map<Id, base::ByteSpan> unanswered_;  // with where data goes
  std::map<Id, SftpReply> answers_;          // not yet awaited
  std::set<Id> unwanted_;                    // whose answers are thrown away
  Id limits_ = 0;                            // the request for them; 0: answered, or none
  bool greeted_ = false;
  bool broken_ = false;
  base::Bytes out_;       // requests
  std::size_t sent_ = 0;  // of out_
  base::Bytes in_;        // what came, up to filled_
  std::size_t filled_ = 0;
};

}  // namespace icecore::storage
