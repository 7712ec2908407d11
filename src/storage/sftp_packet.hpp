// SPDX-License-Identifier: Apache-2.0
// Packets of the SSH File Transfer Protocol, version 3 (draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL file
// for the extensions), big-endian: u32 length, u8 type, u32 request id, and what the type says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace icecore::storage {

enum class SftpType : std::uint8_t {
  init = 1,
  version = 2,
  open = 3,
  close = 4,
  read = 5,
  write = 6,
  open_folder = 11,
  read_folder = 12,
  remove = 13,
  make_folder = 14,
  stat = 17,
  rename = 18,
  status = 101,
  handle = 102,
  data = 103,
  name = 104,
  attributes = 105,
  extended = 200,
  extended_reply = 201,
};

enum class SftpStatus : std::uint32_t {
  ok = 0,
  end = 1,
  no_such_file = 2,
  permission_denied = 3,
  failure = 4,
  unsupported = 8,
  // Of later versions; some servers send them all the same.
  write_protected = 12,
  no_space = 14,
  quota = 15,
};

// Bits of OPEN.
constexpr std::uint32_t k_sftp_read = 0x01;
constexpr std::uint32_t k_sftp_write = 0x02;
constexpr std::uint32_t k_sftp_create = 0x08;
constexpr std::uint32_t k_sftp_exclusive = 0x20;

// What we need of a file's ATTRS.
struct SftpAttributes {
  std::optional<std::uint64_t> size;
  std::optional<std::uint32_t> mode;
  std::optional<std::uint32_t> changed;  // seconds since 1970, by the server's clock
  bool is_folder() const noexcept { return mode && (*mode & 0170000) == 0040000; }
  bool is_file() const noexcept { return !mode || (*mode & 0170000) == 0100000; }
};

// Appends one packet to a buffer; the length is filled in by finish().
class SftpPacketWriter {
 public:
  SftpPacketWriter(base::Bytes& out, SftpType type);
  SftpPacketWriter& u32(std::uint32_t value);
  SftpPacketWriter& u64(std::uint64_t value);
  SftpPacketWriter& text(std::string_view text);
  SftpPacketWriter& raw(base::ByteView bytes);
  // No attributes, or only permissions.
  SftpPacketWriter& attributes(std::optional<std::uint32_t> mode = {});
  void finish();

 private:
  base::Bytes& out_;
  std::size_t start_;
};

// Reads what a server sent. A packet that ends early is Fault::unavailable: the connection is of no more use.
class SftpPacketReader {
 public:
  explicit SftpPacketReader(base::ByteView bytes) : bytes_(bytes) {}
  std::uint8_t u8();
  std::uint32_t u32();
  std::uint64_t u64();
  std::string text();
  SftpAttributes attributes();
  base::ByteView raw(std::size_t count);
  bool at_end() const noexcept { return bytes_.empty(); }

 private:
  std::uint64_t number(std::size_t bytes);
  base::ByteView bytes_;
};

}  // namespace icecore::storage
