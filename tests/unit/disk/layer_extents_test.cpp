// SPDX-License-Identifier: Apache-2.0
#include "disk/layer_extents.hpp"

#include "base/bytes.hpp"
#include "disk/offline_commit.hpp"
#include "disk/rebase.hpp"
#include "image_fixture.hpp"

namespace icecore::disk {
namespace {

using base::k_kib;
using base::k_mib;

class LayerExtents : public ImageTest {
 protected:
  static std::vector<Extent> read(const std::filesystem::path& layer) {
    return read_layer_extents(inspect_image(layer, "qcow2"), 64 * k_kib, {});
  }
};

TEST_F(LayerExtents, AreWhatTheLayerHoldsItself) {
  const auto base = make("base.raw", "raw", "64M");
  io(base, "raw", {"write -P 1 0 4M"});
  const auto layer = make_overlay("layer.qcow2", base, "raw");
  EXPECT_TRUE(read(layer).empty());
  io(layer, "qcow2", {"write -P 2 5M 4k", "write -z 1M 128k", "discard 2M 64k", "write -P 0 3M 64k"});
  EXPECT_EQ(read(layer),
            (std::vector<Extent>{
                {1 * k_mib, 128 * k_kib}, {2 * k_mib, 64 * k_kib}, {3 * k_mib, 64 * k_kib}, {5 * k_mib, 64 * k_kib}}));
}

TEST_F(LayerExtents, OfALayerAboveTellNothingOfTheOneBelow) {
  const auto base = make("base.qcow2", "qcow2", "64M");
  const auto lower = make_overlay("lower.qcow2", base, "qcow2");
  io(lower, "qcow2", {"write -P 1 0 1M"});
  const auto upper = make_overlay("upper.qcow2", lower, "qcow2");
  io(upper, "qcow2", {"write -P 2 8M 64k"});
  EXPECT_EQ(read(upper), (std::vector<Extent>{{8 * k_mib, 64 * k_kib}}));
  EXPECT_EQ(read(lower), (std::vector<Extent>{{0, k_mib}}));
}

TEST_F(LayerExtents, AreWidenedToBlocksAndCutAtTheEnd) {
  const auto base = make("base.raw", "raw", "1000000");
  const auto layer = make_overlay("layer.qcow2", base, "raw");
  io(layer, "qcow2", {"write -P 1 999424 512"});
  const std::uint64_t size = inspect_image(layer, "qcow2").virtual_size;
  const std::uint64_t last = size / (64 * k_kib) * (64 * k_kib);
  EXPECT_EQ(read(layer), (std::vector<Extent>{{last, size - last}}));
}

TEST_F(LayerExtents, ALayerThatIsMergedCanBeTakenOut) {
  const auto base = make("base.raw", "raw", "64M");
  io(base, "raw", {"write -P 1 0 4M"});
  const auto lower = make_overlay("lower.qcow2", base, "raw");
  io(lower, "qcow2", {"write -P 2 1M 1M", "write -z 2M 1M"});
  const auto upper = make_overlay("upper.qcow2", lower, "qcow2");
  io(upper, "qcow2", {"write -P 3 8M 64k"});
  const auto before = file("before.raw");
  run({"qemu-img", "convert", "-O", "raw", upper.string(), before.string()});
  commit_offline(lower, base, "raw", std::chrono::minutes(1));
  EXPECT_TRUE(same_content(upper, "qcow2", before, "raw"));
  rebase_onto(upper, base, "raw");
  EXPECT_EQ(inspect_image(upper, "qcow2").backing, base);
  EXPECT_EQ(inspect_image(upper, "qcow2").backing_format, "raw");
  std::filesystem::remove(lower);
  EXPECT_TRUE(same_content(upper, "qcow2", before, "raw"));
  EXPECT_EQ(read(upper), (std::vector<Extent>{{8 * k_mib, 64 * k_kib}}));
}

}  // namespace
}  // namespace icecore::disk
