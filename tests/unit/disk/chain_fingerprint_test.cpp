// SPDX-License-Identifier: Apache-2.0
// Changes under a recorded chain are noticed and named.
#include "disk/chain_fingerprint.hpp"

#include "unit/disk/image_fixture.hpp"

namespace icecore::disk {
namespace {

class ChainFingerprintTest : public ImageTest {
 protected:
  ChainFingerprintTest() {
    base_ = make("base.raw", "raw", "2M");
    top_ = make_overlay("top.qcow2", base_, "raw");
    recorded_ = fingerprint_chain(top_, "qcow2");
  }

  std::string complaint() {
    const base::Error error = error_of([&] { expect_same_chain(recorded_, fingerprint_chain(top_, "qcow2")); });
    EXPECT_EQ(error.fault(), base::Fault::conflict);
    return error.what();
  }

  std::filesystem::path base_;
  std::filesystem::path top_;
  ChainFingerprint recorded_;
};

TEST_F(ChainFingerprintTest, TheSameChainPassesAndSurvivesJson) {
  const ChainFingerprint again = chain_from_json(base::parse_json(to_json(recorded_).dump(), "test"));
  EXPECT_NO_THROW(expect_same_chain(again, fingerprint_chain(top_, "qcow2")));
}

TEST_F(ChainFingerprintTest, NamesTheFileAndTheOldAndNewSize) {
  run({"qemu-img", "resize", "-q", "-f", "raw", base_.string(), "3M"});
  const std::string said = complaint();
  EXPECT_NE(said.find(base_.string()), std::string::npos) << said;
  EXPECT_NE(said.find("2097152"), std::string::npos) << said;
  EXPECT_NE(said.find("3145728"), std::string::npos) << said;
}

TEST_F(ChainFingerprintTest, NoticesASwappedFile) {
  std::filesystem::rename(base_, file("kept.raw"));
  make("base.raw", "raw", "2M");
  EXPECT_NE(complaint().find("inode"), std::string::npos);
}

TEST_F(ChainFingerprintTest, NoticesAnotherDeviceOfTheSameName) {
  recorded_[1].device = "LVM-abc";
  ChainFingerprint now = recorded_;
  now[1].device = "LVM-xyz";
  EXPECT_THROW(expect_same_chain(recorded_, now), base::Error);
  EXPECT_EQ(chain_from_json(to_json(recorded_))[1].device, "LVM-abc");
}

// After a reboot: "its inode was 432, is now 517", of an LVM volume that is the same.
TEST_F(ChainFingerprintTest, ADevicesNodeMayBeMadeAnew) {
  recorded_[1].device = "LVM-abc";
  ChainFingerprint now = recorded_;
  now[1].inode = 0;
  EXPECT_NO_THROW(expect_same_chain(recorded_, now));
}

TEST_F(ChainFingerprintTest, NoticesARebase) {
  const auto other = make("other.raw", "raw", "2M");
  run({"qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", other.string(), top_.string()});
  EXPECT_NE(complaint().find("other.raw"), std::string::npos);
}

TEST_F(ChainFingerprintTest, NoticesAnExtraLayer) {
  const ChainFingerprint shorter(recorded_.begin(), recorded_.end() - 1);
  EXPECT_THROW(expect_same_chain(shorter, recorded_), base::Error);
}

// Whoever reads a frozen one asks for that itself.
TEST_F(ChainFingerprintTest, AWriteIsNoChangeOfTheChain) {
  ChainFingerprint now = recorded_;
  now[1].modified_ns += 1;
  EXPECT_NO_THROW(expect_same_chain(recorded_, now));
}

}  // namespace
}  // namespace icecore::disk
