// SPDX-License-Identifier: Apache-2.0
#include "memory/window_source.hpp"

#include "unit/memory/save_file_fixture.hpp"

namespace icecore::memory {
namespace {

constexpr std::size_t k_block = 64 * base::k_kib;

base::Bytes sample(std::size_t size) {
  base::Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i / 1000 + i);
  return bytes;
}

base::Bytes assemble(disk::DiskSource& source) {
  base::Bytes all(source.size());
  source.read({},
              [&](const disk::Chunk& chunk) {
                for (std::size_t i = 0; i < chunk.block_count(); ++i) {
                  if (!chunk.has_data(i)) continue;
                  const base::ByteView block = chunk.block(i);
                  std::copy(block.begin(), block.end(),
                            all.begin() + static_cast<std::ptrdiff_t>(chunk.offset + i * k_block));
                }
              },
              {});
  return all;
}

class WindowSourceTest : public SaveFileTest {};

TEST_F(WindowSourceTest, BytesAreReadToTheirOddEnd) {
  const base::Bytes bytes = sample(5 * base::k_mib + 77);
  WindowSource source(bytes.size(), k_block, [&](std::uint64_t offset, base::ByteSpan out) {
    const base::ByteView from = base::ByteView(bytes).subspan(offset, out.size());
    std::copy(from.begin(), from.end(), out.begin());
    return ~0ULL;
  });
  EXPECT_EQ(assemble(source), bytes);
}

TEST_F(WindowSourceTest, OnlyBlocksWithPagesAreData) {
  const SavedMemory memory(write(sample_save_file().bytes()));
  WindowSource source(memory.state().image_bytes(), k_block,
                      [&](std::uint64_t offset, base::ByteSpan out) { return memory.read(offset, out, k_block); });
  EXPECT_EQ(assemble(source), image_of(memory));
  source.start({});
  const auto chunk = source.next({});
  ASSERT_TRUE(chunk);
  EXPECT_EQ(chunk->data_mask, 0b1111U) << "40 pages in three blocks, and the other block's";
}

}  // namespace
}  // namespace icecore::memory
