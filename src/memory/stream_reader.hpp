// SPDX-License-Identifier: Apache-2.0
// Sequential reading of a save file, or of one that is made while it is read. Integers are big-endian, as in QEMU's
// stream; libvirt's header in front of it is the host's own.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/bytes.hpp"

namespace icecore::memory {

class StreamReader {
 public:
  // Fills the span as far as there is anything and returns how far: less than asked for only at the end.
  using Fill = std::function<std::size_t(base::ByteSpan out)>;
  explicit StreamReader(Fill fill);

  // Each throws Fault::corrupt when the stream ends before.
  std::uint8_t u8();
  std::uint32_t be32();
  std::uint64_t be64();
  // Valid until the next call. `count` is at most 1 MiB.
  base::ByteView raw(std::size_t count);
  std::string text(std::size_t count);
  void skip(std::uint64_t count);

  // Bytes read so far.
  std::uint64_t at() const noexcept { return begin_of_buffer_ + at_; }
  // Reads to the end; returns the length of the whole.
  std::uint64_t drain();

 private:
  bool refill(std::size_t wanted);

  Fill fill_;
  base::Bytes buffer_;
  std::size_t at_ = 0;
  std::size_t end_ = 0;
  std::uint64_t begin_of_buffer_ = 0;
};

// Reads an open file from its beginning by pread; the descriptor outlives it.
StreamReader read_stream_of(int fd, const std::string& path);

}  // namespace icecore::memory
