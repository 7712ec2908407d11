// SPDX-License-Identifier: Apache-2.0
#include "memory/stream_reader.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/error.hpp"

namespace icecore::memory {

namespace {

constexpr std::size_t k_buffer_bytes = 2 * base::k_mib;

std::uint64_t big_endian(base::ByteView bytes) {
  std::uint64_t value = 0;
  for (const std::byte byte : bytes) value = value << 8U | std::to_integer<std::uint64_t>(byte);
  return value;
}

}  // namespace

StreamReader::StreamReader(Fill fill) : fill_(std::move(fill)), buffer_(k_buffer_bytes) {}

// False at the end, when fewer than `wanted` bytes are left.
bool StreamReader::refill(std::size_t wanted) {
  std::memmove(buffer_.data(), buffer_.data() + at_, end_ - at_);
  begin_of_buffer_ += at_;
  end_ -= at_;
  at_ = 0;
  while (end_ < wanted) {
    const std::size_t count = fill_(base::ByteSpan(buffer_).subspan(end_));
    if (count == 0) return false;
    end_ += count;
  }
  return true;
}

base::ByteView StreamReader::raw(std::size_t count) {
  if (count > k_buffer_bytes / 2) base::fail(base::Fault::corrupt, "a piece of {} bytes is too long", count);
  if (end_ - at_ < count && !refill(count)) base::fail(base::Fault::corrupt, "it ends after {} bytes", at());
  const base::ByteView view = base::ByteView(buffer_).subspan(at_, count);
  at_ += count;
  return view;
}

std::uint8_t StreamReader::u8() { return static_cast<std::uint8_t>(big_endian(raw(1))); }
std::uint32_t StreamReader::be32() { return static_cast<std::uint32_t>(big_endian(raw(4))); }
std::uint64_t StreamReader::be64() { return big_endian(raw(8)); }
std::string StreamReader::text(std::size_t count) { return base::to_string(raw(count)); }

void StreamReader::skip(std::uint64_t count) {
  while (count > 0) count -= raw(static_cast<std::size_t>(std::min<std::uint64_t>(count, k_buffer_bytes / 2))).size();
}

std::uint64_t StreamReader::drain() {
  do at_ = end_;
  while (refill(1));
  return at();
}

StreamReader read_stream_of(int fd, const std::string& path) {
  return StreamReader([fd, path, offset = std::uint64_t{0}](base::ByteSpan out) mutable -> std::size_t {
    for (;;) {
      const ssize_t count = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) base::fail_errno(errno, fmt::format("read '{}' at {}", path, offset));
      offset += static_cast<std::uint64_t>(count);
      return static_cast<std::size_t>(count);
    }
  });
}

}  // namespace icecore::memory
