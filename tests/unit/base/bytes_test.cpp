// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace icecore::base {
namespace {

TEST(Bytes, HexRoundTrip) {
  const Bytes bytes = from_hex("00ff10Ab");
  EXPECT_EQ(to_hex(bytes), "00ff10ab");
  EXPECT_THROW(from_hex("abc"), Error);
  EXPECT_THROW(from_hex("zz"), Error);
}

TEST(Bytes, IsZeroFindsASingleByteAnywhere) {
  for (const std::size_t size : {1UL, 15UL, 16UL, 17UL, 4096UL}) {
    Bytes bytes(size);
    EXPECT_TRUE(is_zero(bytes));
    for (std::size_t at = 0; at < size; ++at) {
      bytes[at] = std::byte{1};
      EXPECT_FALSE(is_zero(bytes)) << size << " bytes, set at " << at;
      bytes[at] = std::byte{0};
    }
  }
}

TEST(Bytes, ReaderReturnsWhatWriterWrote) {
  ByteWriter writer;
  writer.u8(1);
  writer.u16(0x0203);
  writer.u32(0x04050607);
  writer.u64(0x08090a0b0c0d0e0f);
  const Bytes bytes = writer.take();
  EXPECT_EQ(to_hex(bytes), "010302070605040f0e0d0c0b0a0908");
  ByteReader reader(bytes, "record");
  EXPECT_EQ(reader.u8(), 1);
  EXPECT_EQ(reader.u16(), 0x0203);
  EXPECT_EQ(reader.u32(), 0x04050607U);
  EXPECT_EQ(reader.u64(), 0x08090a0b0c0d0e0fU);
  EXPECT_NO_THROW(reader.expect_end());
}

TEST(Bytes, ReaderNamesTheTruncatedObject) {
  const Bytes bytes(3);
  ByteReader reader(bytes, "pack 3f2a");
  try {
    reader.u32();
    FAIL() << "read past the end";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::corrupt);
    EXPECT_STREQ(error.what(), "pack 3f2a ends after 3 bytes where 1 more are needed");
  }
}

TEST(Bytes, FormatSize) {
  EXPECT_EQ(format_size(17), "17 B");
  EXPECT_EQ(format_size(1536), "1.5 KiB");
  EXPECT_EQ(format_size(3 * k_gib), "3.0 GiB");
}

}  // namespace
}  // namespace icecore::base
