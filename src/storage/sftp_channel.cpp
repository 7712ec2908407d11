// SPDX-License-Identifier: Apache-2.0
#include "storage/sftp_channel.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "base/handle.hpp"

namespace icecore::storage {

using base::Fault;

namespace {

constexpr std::uint32_t k_version = 3;
// What every server must take, whatever it says, and the most we make use of where a server takes more.
constexpr std::size_t k_transfer_bytes = 32 * base::k_kib;
constexpr std::size_t k_transfer_bytes_max = 255 * base::k_kib;
constexpr std::size_t k_packet_bytes_max = 512 * base::k_kib;
constexpr std::size_t k_receive_bytes = 256 * base::k_kib;
// More unsent bytes than this and the caller waits.
constexpr std::size_t k_unsent_bytes_max = 512 * base::k_kib;
constexpr std::uint32_t k_folder_mode = 0700;
constexpr std::uint32_t k_file_mode = 0600;
constexpr std::size_t k_header_bytes = 4;

std::uint32_t length_at(base::ByteView bytes) { return SftpPacketReader(bytes).u32(); }

}  // namespace

SftpChannel::SftpChannel(std::unique_ptr<SftpStream> stream)
    : stream_(std::move(stream)), read_bytes_max_(k_transfer_bytes), write_bytes_max_(k_transfer_bytes) {
  greet();
  if (extensions_.contains("limits@openssh.com")) ask_limits();
}

void SftpChannel::greet() {
  SftpPacketWriter packet(out_, SftpType::init);
  packet.u32(k_version).finish();
  while (!greeted_) advance();
}

// Goes out with the first request, whose answer comes behind this one's: no round trip of its own.
void SftpChannel::ask_limits() {
  SftpPacketWriter packet = begin(SftpType::extended, limits_);
  packet.text("limits@openssh.com").finish();
}

void SftpChannel::take_limits(SftpType type, SftpPacketReader& reader) {
  limits_ = 0;
  if (type != SftpType::extended_reply) return;
  const auto usable = [](std::uint64_t limit) {
    return std::clamp<std::uint64_t>(limit, k_transfer_bytes, k_transfer_bytes_max);
  };
  reader.u64();
  read_bytes_max_ = usable(reader.u64());
  write_bytes_max_ = usable(reader.u64());
}

SftpPacketWriter SftpChannel::begin(SftpType type, Id& id) {
  if (unanswered_.empty()) stream_->restart_clocks();
  if (sent_ == out_.size()) {
    out_.clear();
    sent_ = 0;
  }
  id = next_++;
  SftpPacketWriter packet(out_, type);
  packet.u32(id);
  return packet;
}

SftpChannel::Id SftpChannel::end(SftpPacketWriter& packet, Id id, base::ByteSpan into) {
  packet.finish();
  unanswered_.emplace(id, into);
  while (out_.size() - sent_ > k_unsent_bytes_max) advance();
  return id;
}

SftpChannel::Id SftpChannel::open(const std::string& path, std::uint32_t flags) {
  Id id = 0;
  SftpPacketWriter packet = begin(SftpType::open, id);
  const bool makes = (flags & k_sftp_create) != 0;
  packet.text(path).u32(flags).attributes(makes ? std::optional(k_file_mode) : std::nullopt);
  return end(packet, id);
}

SftpChannel::Id SftpChannel::close(const std::string& handle) { return path_request(SftpType::close, handle); }

void SftpChannel::close_later(const std::string& handle) {
  const Id id = close(handle);
  unanswered_.erase(id);
  unwanted_.insert(id);
}

SftpChannel::Id SftpChannel::read(const std::string& handle, std::uint64_t offset, base::ByteSpan into) {
  Id id = 0;
  SftpPacketWriter packet = begin(SftpType::read, id);
  packet.text(handle).u64(offset).u32(static_cast<std::uint32_t>(into.size()));
  return end(packet, id, into);
}

SftpChannel::Id SftpChannel::write(const std::string& handle, std::uint64_t offset, base::ByteView bytes) {
  Id id = 0;
  SftpPacketWriter packet = begin(SftpType::write, id);
  packet.text(handle).u64(offset).u32(static_cast<std::uint32_t>(bytes.size())).raw(bytes);
  return end(packet, id);
}

SftpChannel::Id SftpChannel::path_request(SftpType type, const std::string& path) {
  Id id = 0;
  SftpPacketWriter packet = begin(type, id);
  packet.text(path);
  return end(packet, id);
}

SftpChannel::Id SftpChannel::make_folder(const std::string& path) {
  Id id = 0;
  SftpPacketWriter packet = begin(SftpType::make_folder, id);
  packet.text(path).attributes(k_folder_mode);
  return end(packet, id);
}

SftpChannel::Id SftpChannel::read_folder(const std::string& handle) {
  return path_request(SftpType::read_folder, handle);
}

SftpChannel::Id SftpChannel::rename(const std::string& from, const std::string& to) {
  Id id = 0;
  SftpPacketWriter packet = begin(SftpType::rename, id);
  packet.text(from).text(to);
  return end(packet, id);
}

SftpChannel::Id SftpChannel::replace(const std::string& from, const std::string& to) {
  Id id = 0;
  SftpPacketWriter packet = begin(SftpType::extended, id);
  packet.text("posix-rename@openssh.com").text(from).text(to);
  return end(packet, id);
}

SftpChannel::Id SftpChannel::sync(const std::string& handle) {
  Id id = 0;
  SftpPacketWriter packet = begin(SftpType::extended, id);
  packet.text("fsync@openssh.com").text(handle);
  return end(packet, id);
}

SftpChannel::Id SftpChannel::file_system(const std::string& path) {
  Id id = 0;
  SftpPacketWriter packet = begin(SftpType::extended, id);
  packet.text("statvfs@openssh.com").text(path);
  return end(packet, id);
}

SftpReply SftpChannel::await(Id id) {
  for (;;) {
    if (const auto at = answers_.find(id); at != answers_.end()) {
      SftpReply reply = std::move(at->second);
      answers_.erase(at);
      return reply;
    }
    if (!unanswered_.contains(id)) base::fail(Fault::internal, "SFTP request {} was never sent", id);
    advance();
  }
}

std::string SftpChannel::handle_of(const SftpReply& reply) {
  if (reply.type != SftpType::handle) base::fail(Fault::unavailable, "the server opened a file without a handle");
  return SftpPacketReader(reply.body).text();
}

void SftpChannel::advance() {
  base::ScopeExit breaks([this] { broken_ = true; });
  const bool sent = send();
  const bool received = receive();
  if (!sent && !received) stream_->wait();
  breaks.dismiss();
}

bool SftpChannel::send() {
  if (sent_ == out_.size()) return false;
  const std::size_t count = stream_->write_some(base::ByteView(out_).subspan(sent_));
  sent_ += count;
  // Full of sent bytes and still growing: let them go.
  if (sent_ > k_unsent_bytes_max) {
    out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(sent_));
    sent_ = 0;
  }
  return count > 0;
}

bool SftpChannel::receive() {
  in_.resize(std::max(in_.size(), filled_ + k_receive_bytes));
  const std::size_t count = stream_->read_some(base::ByteSpan(in_).subspan(filled_, k_receive_bytes));
  filled_ += count;
  if (count > 0) take_packets();
  return count > 0;
}

void SftpChannel::take_packets() {
  std::size_t at = 0;
  while (filled_ - at >= k_header_bytes) {
    const base::ByteView rest = base::ByteView(in_).subspan(at, filled_ - at);
    const std::size_t length = length_at(rest);
    if (length == 0 || length > k_packet_bytes_max) {
      base::fail(Fault::unavailable, "what the server speaks is not SFTP: does its shell print something at login?");
    }
    if (rest.size() - k_header_bytes < length) break;
    take(rest.subspan(k_header_bytes, length));
    at += k_header_bytes + length;
  }
  if (at == 0) return;
  std::memmove(in_.data(), in_.data() + at, filled_ - at);
  filled_ -= at;
}

void SftpChannel::take(base::ByteView packet) {
  SftpPacketReader reader(packet);
  SftpReply reply;
  reply.type = static_cast<SftpType>(reader.u8());
  if ((reply.type == SftpType::version) == greeted_)
    base::fail(Fault::unavailable, "the server greets at a wrong time");
  if (reply.type == SftpType::version) {
    reader.u32();
    while (!reader.at_end()) {
      std::string name = reader.text();
      extensions_[std::move(name)] = reader.text();
    }
    greeted_ = true;
    return;
  }
  const Id id = reader.u32();
  if (id == limits_) return take_limits(reply.type, reader);
  if (unwanted_.erase(id) != 0) return;
  const auto asked = unanswered_.find(id);
  if (asked == unanswered_.end()) base::fail(Fault::unavailable, "the server answered what was not asked");
  if (reply.type == SftpType::status) {
    reply.status = static_cast<SftpStatus>(reader.u32());
    if (!reader.at_end()) reply.message = reader.text();
  } else if (reply.type == SftpType::data) {
    reply.count = reader.u32();
    const base::ByteView bytes = reader.raw(reply.count);
    if (bytes.size() > asked->second.size()) base::fail(Fault::unavailable, "the server sent more than was asked for");
    std::copy(bytes.begin(), bytes.end(), asked->second.begin());
  } else {
    const base::ByteView body = packet.subspan(1 + sizeof(std::uint32_t));
    reply.body.assign(body.begin(), body.end());
  }
  answers_.emplace(asked->first, std::move(reply));
  unanswered_.erase(asked);
}

}  // namespace icecore::storage
