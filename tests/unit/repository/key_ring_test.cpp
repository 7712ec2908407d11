// SPDX-License-Identifier: Apache-2.0
#include "repository/key_ring.hpp"

#include "repository/blake2b_lanes.hpp"
#include "unit/repository/fixture.hpp"

namespace icecore::repository {
namespace {

class KeyRingTest : public RepositoryFixture {
 protected:
  KeyRing keys_{Secret::random(k_key_bytes), true};
};

TEST_F(KeyRingTest, ManyNamesAtOnceAreTheNamesOneByOne) {
  for (const std::size_t size : {128U, 256U, 4096U, 65536U, 100U, 1U}) {
    for (std::size_t count = 0; count <= 19; ++count) {
      std::vector<base::Bytes> blocks;
      for (std::size_t i = 0; i < count; ++i)
        blocks.push_back(make_block(i % 7 == 3 ? 0 : i + 1, i == 11 ? size + 1 : size));
      const std::vector<base::ByteView> views(blocks.begin(), blocks.end());
      std::vector<BlockName> names(count);
      keys_.names_of(views, names);
      for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(names[i], keys_.name_of(blocks[i])) << size << " " << i;
    }
  }
}

// The widest kernel is the one in use; the others must not go untested on that account.
TEST_F(KeyRingTest, EachKernelAgreesWithLibsodium) {
#if defined(__x86_64__)
  const std::pair<bool, Blake2bLanes> kernels[] = {{__builtin_cpu_supports("avx512f") != 0, {8, &blake2b_eight_lanes}},
                                                   {__builtin_cpu_supports("avx2") != 0, {4, &blake2b_four_lanes}}};
  for (const auto& [there, kernel] : kernels) {
    if (!there) continue;
    const base::Bytes key = make_block(99, k_key_bytes);
    std::vector<base::Bytes> blocks(k_lanes_max);
    std::vector<Digest> digests(k_lanes_max);
    const unsigned char* inputs[k_lanes_max];
    unsigned char* outputs[k_lanes_max];
    for (std::size_t i = 0; i < k_lanes_max; ++i) {
      blocks[i] = make_block(2 * i + 1, 1024);
      inputs[i] = reinterpret_cast<const unsigned char*>(blocks[i].data());
      outputs[i] = reinterpret_cast<unsigned char*>(digests[i].data());
    }
    for (const bool keyed : {true, false}) {
      kernel.hash(keyed ? reinterpret_cast<const unsigned char*>(key.data()) : nullptr, inputs, 1024, outputs);
      for (std::size_t i = 0; i < kernel.lanes; ++i) {
        const base::ByteView view(blocks[i]);
        const Digest expected = keyed ? keyed_digest_of(key, std::span(&view, 1)) : digest_of(std::span(&view, 1));
        EXPECT_EQ(digests[i], expected) << kernel.lanes << " lanes, " << i;
      }
    }
  }
#endif
}

TEST_F(KeyRingTest, PackNameIsWhatFormatSaysItIs) {
  for (const std::size_t size : {0UL, 5UL, 1UL << 20, 9 * (1UL << 20) + 7}) {
    const base::Bytes pack = make_block(1, size);
    std::string lines;
    for (std::size_t at = 0; at < size; at += 1UL << 20) {
      const base::ByteView piece = base::ByteView(pack).subspan(at, std::min(1UL << 20, size - at));
      lines += base::to_hex(digest_of(std::span(&piece, 1))) + "\n";
    }
    const base::ByteView text = base::as_bytes(lines);
    EXPECT_EQ(piecewise_digest_of(pack), digest_of(std::span(&text, 1))) << size;
  }
}

TEST_F(KeyRingTest, FrameOpensOnlyWithItsAssociatedDataAndKey) {
  const base::Bytes text = make_block(2, 100);
  base::Buffer sealed = keys_.seal_frame(text, base::as_bytes("x"));
  base::Buffer opened;
  ASSERT_TRUE(keys_.open_frame(sealed.view(), base::as_bytes("x"), opened));
  EXPECT_TRUE(std::equal(text.begin(), text.end(), opened.view().begin(), opened.view().end()));
  EXPECT_FALSE(keys_.open_frame(sealed.view(), base::as_bytes("y"), opened));
  EXPECT_FALSE(KeyRing(Secret::random(k_key_bytes), true).open_frame(sealed.view(), base::as_bytes("x"), opened));
  sealed.span()[30] ^= std::byte{1};
  EXPECT_FALSE(keys_.open_frame(sealed.view(), base::as_bytes("x"), opened));
}

}  // namespace
}  // namespace icecore::repository
