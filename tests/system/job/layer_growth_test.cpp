// SPDX-License-Identifier: Apache-2.0
// A disk that was grown on its layer, over a home whose bitmap a killed QEMU left: QEMU grows no image with an
// inconsistent bitmap, and so merges nothing into it that is larger.
#include <gmock/gmock.h>

#include "system/job/layer_case.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;

class LayerOfADiskThatGrows : public LayerCase {
 protected:
  // The domain is on a layer that is larger than its home, whose bitmap a killed QEMU left.
  static void grow(ProtectedDomain& subject, bool while_off = false) {
    subject.domain.kill_qemu();
    if (!while_off) subject.domain.start_paused();
    back_up_layer(subject);
    if (while_off) subject.domain.start_paused();
    tool({"virsh", "-q", "blockresize", subject.domain.name(), "vda", "96M"});
    write(subject, 90 * k_mib, 0x66);
  }
};

TEST_F(LayerOfADiskThatGrows, IsMergedWithABitmapThatIsBroken) {
  for (const bool while_off : {false, true}) {
    SCOPED_TRACE(while_off ? "the layer is put, and merged, while the domain is off" : "while it runs");
    ProtectedDomain subject;
    begin_layers(subject);
    back_up(subject);
    grow(subject, while_off);
    if (while_off) subject.domain.destroy();
    merge_layers(subject);
  }
}

TEST_F(LayerOfADiskThatGrows, IsMergedByTheNextPoint) {
  for (const bool while_off : {false, true}) {
    SCOPED_TRACE(while_off ? "while the domain is off" : "while it runs");
    ProtectedDomain subject;
    begin_layers(subject);
    back_up(subject);
    grow(subject);
    if (while_off) subject.domain.destroy();
    back_up_layer(subject);
  }
}

TEST_F(LayerOfADiskThatGrows, AnotherProgramsBitmapIsLeftToItsOwner) {
  ProtectedDomain subject;
  begin_layers(subject);
  subject.domain.destroy();
  tool({"qemu-img", "bitmap", "--add", "-f", "qcow2", subject.domain.disk_path(), "theirs"});
  subject.domain.start_paused();
  grow(subject);
  const rig::IcecoreOutcome refused = subject.run({"recover", subject.domain.name(), "--merge-layers"});
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.error_output, HasSubstr("'theirs', of another program"));
  EXPECT_EQ(subject.domain.live_source(), files(subject, ".layer.qcow2").at(0));
  subject.domain.destroy();
  tool({"qemu-img", "bitmap", "--remove", "-f", "qcow2", subject.domain.disk_path(), "theirs"});
  merge_layers(subject);
}

}  // namespace
}  // namespace icecore::system_test
