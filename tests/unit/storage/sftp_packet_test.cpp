// SPDX-License-Identifier: Apache-2.0
#include "storage/sftp_packet.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace icecore::storage {
namespace {

TEST(SftpPacket, WhatIsWrittenIsRead) {
  base::Bytes bytes;
  SftpPacketWriter packet(bytes, SftpType::open);
  packet.u32(7).text("/a").u64(1ULL << 40).attributes(0600);
  packet.finish();
  SftpPacketReader reader(bytes);
  EXPECT_EQ(reader.u32(), bytes.size() - 4);
  EXPECT_EQ(reader.u8(), static_cast<std::uint8_t>(SftpType::open));
  EXPECT_EQ(reader.u32(), 7U);
  EXPECT_EQ(reader.text(), "/a");
  EXPECT_EQ(reader.u64(), 1ULL << 40);
  EXPECT_EQ(reader.attributes().mode, 0600U);
  EXPECT_TRUE(reader.at_end());
}

TEST(SftpPacket, AllAttributesArePassedOver) {
  base::Bytes bytes;
  SftpPacketWriter packet(bytes, SftpType::attributes);
  packet.u32(0x8000000f).u64(5).u32(1).u32(2).u32(0040755).u32(3).u32(4).u32(1).text("name").text("value").u32(99);
  SftpPacketReader reader(base::ByteView(bytes).subspan(5));
  const SftpAttributes found = reader.attributes();
  EXPECT_EQ(found.size, 5U);
  EXPECT_TRUE(found.is_folder());
  EXPECT_EQ(reader.u32(), 99U);
}

TEST(SftpPacket, AnEarlyEndIsFoundAtEveryLength) {
  base::Bytes bytes;
  SftpPacketWriter packet(bytes, SftpType::name);
  packet.text("name").text("shown").u32(5).u64(1).u32(0100600);
  for (std::size_t length = 5; length < bytes.size(); ++length) {
    SftpPacketReader reader(base::ByteView(bytes).subspan(5, length - 5));
    EXPECT_THROW((reader.text(), reader.text(), reader.attributes()), base::Error) << length;
  }
}

}  // namespace
}  // namespace icecore::storage
