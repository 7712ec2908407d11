// SPDX-License-Identifier: Apache-2.0
#include "storage/sftp_packet.hpp"

#include "base/error.hpp"

namespace icecore::storage {

namespace {

constexpr std::uint32_t k_has_size = 0x01;
constexpr std::uint32_t k_has_owner = 0x02;
constexpr std::uint32_t k_has_mode = 0x04;
constexpr std::uint32_t k_has_times = 0x08;
constexpr std::uint32_t k_has_more = 0x80000000;

}  // namespace

SftpPacketWriter::SftpPacketWriter(base::Bytes& out, SftpType type) : out_(out), start_(out.size()) {
  u32(0);
  out_.push_back(static_cast<std::byte>(type));
}

SftpPacketWriter& SftpPacketWriter::u32(std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out_.push_back(static_cast<std::byte>(value >> shift & 0xff));
  return *this;
}

SftpPacketWriter& SftpPacketWriter::u64(std::uint64_t value) {
  return u32(static_cast<std::uint32_t>(value >> 32)).u32(static_cast<std::uint32_t>(value));
}

SftpPacketWriter& SftpPacketWriter::text(std::string_view text) {
  return u32(static_cast<std::uint32_t>(text.size())).raw(base::as_bytes(text));
}

SftpPacketWriter& SftpPacketWriter::raw(base::ByteView bytes) {
  out_.insert(out_.end(), bytes.begin(), bytes.end());
  return *this;
}

SftpPacketWriter& SftpPacketWriter::attributes(std::optional<std::uint32_t> mode) {
  if (!mode) return u32(0);
  return u32(k_has_mode).u32(*mode);
}

void SftpPacketWriter::finish() {
  const std::size_t length = out_.size() - start_ - 4;
  for (std::size_t i = 0; i < 4; ++i) out_[start_ + i] = static_cast<std::byte>(length >> (24 - 8 * i) & 0xff);
}

base::ByteView SftpPacketReader::raw(std::size_t count) {
  if (count > bytes_.size()) base::fail(base::Fault::unavailable, "the server sent an SFTP packet that ends early");
  const base::ByteView taken = bytes_.first(count);
  bytes_ = bytes_.subspan(count);
  return taken;
}

std::uint64_t SftpPacketReader::number(std::size_t bytes) {
  std::uint64_t value = 0;
  for (const std::byte at : raw(bytes)) value = value << 8 | std::to_integer<std::uint64_t>(at);
  return value;
}

std::uint8_t SftpPacketReader::u8() { return static_cast<std::uint8_t>(number(1)); }
std::uint32_t SftpPacketReader::u32() { return static_cast<std::uint32_t>(number(4)); }
std::uint64_t SftpPacketReader::u64() { return number(8); }
std::string SftpPacketReader::text() { return base::to_string(raw(u32())); }

SftpAttributes SftpPacketReader::attributes() {
  SftpAttributes found;
  const std::uint32_t has = u32();
  if ((has & k_has_size) != 0) found.size = u64();
  if ((has & k_has_owner) != 0) u64();
  if ((has & k_has_mode) != 0) found.mode = u32();
  if ((has & k_has_times) != 0) {
    u32();  // last read
    found.changed = u32();
  }
  if ((has & k_has_more) == 0) return found;
  for (std::uint32_t left = u32(); left > 0; --left) {
    text();
    text();
  }
  return found;
}

}  // namespace icecore::storage
