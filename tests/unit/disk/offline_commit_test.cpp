// SPDX-License-Identifier: Apache-2.0
// Committing an overlay without a domain: content arrives, repeating is harmless, wrong pairs are refused.
#include "disk/offline_commit.hpp"

#include "disk/image.hpp"
#include "unit/disk/image_fixture.hpp"

namespace icecore::disk {
namespace {

using base::Fault;
constexpr base::Milliseconds k_minute = std::chrono::minutes(1);

class OfflineCommit : public ImageTest {
 protected:
  OfflineCommit() {
    base_ = make("base.qcow2", "qcow2", "4M");
    io(base_, "qcow2", {"write -P 1 0 1M"});
    overlay_ = make_overlay("overlay.qcow2", base_, "qcow2");
    io(overlay_, "qcow2", {"write -P 2 512k 1M", "write -z 0 64k"});
    std::filesystem::copy_file(overlay_, file("reference-overlay.qcow2"));
    run({"qemu-img", "convert", "-f", "qcow2", "-O", "raw", overlay_.string(), file("wanted.raw").string()});
  }
  void expect_base_is_wanted() { EXPECT_TRUE(same_content(base_, "qcow2", file("wanted.raw"), "raw")); }

  std::filesystem::path base_;
  std::filesystem::path overlay_;
};

TEST_F(OfflineCommit, BringsTheOverlaysContentIntoTheBase) {
  commit_offline(overlay_, base_, "qcow2", k_minute);
  expect_base_is_wanted();
}

TEST_F(OfflineCommit, IsTheSameTwiceAndKeepsTheOverlay) {
  commit_offline(overlay_, base_, "qcow2", k_minute);
  commit_offline(overlay_, base_, "qcow2", k_minute);
  expect_base_is_wanted();
  EXPECT_TRUE(same_content(overlay_, "qcow2", file("wanted.raw"), "raw"));
  EXPECT_GT(inspect_image(overlay_, "qcow2").actual_size, 1U << 20) << "the overlay was emptied";
}

TEST_F(OfflineCommit, GoesOneLayerDownOnly) {
  const auto top = make_overlay("top.qcow2", overlay_, "qcow2");
  io(top, "qcow2", {"write -P 9 3M 64k"});
  commit_offline(top, overlay_, "qcow2", k_minute);
  EXPECT_FALSE(same_content(overlay_, "qcow2", base_, "qcow2"));
  EXPECT_TRUE(same_content(overlay_, "qcow2", top, "qcow2"));
}

TEST_F(OfflineCommit, RefusesAnotherBase) {
  const auto other = make("other.qcow2", "qcow2", "4M");
  const base::Error error = error_of([&] { commit_offline(overlay_, other, "qcow2", k_minute); });
  EXPECT_EQ(error.fault(), Fault::conflict) << error.what();
  EXPECT_EQ(error_of([&] { commit_offline(base_, other, "qcow2", k_minute); }).fault(), Fault::conflict);
  EXPECT_EQ(error_of([&] { commit_offline(overlay_, base_, "raw", k_minute); }).fault(), Fault::conflict);
}

TEST_F(OfflineCommit, RefusesAResizedBase) {
  run({"qemu-img", "resize", "-q", "-f", "qcow2", base_.string(), "8M"});
  const base::Error error = error_of([&] { commit_offline(overlay_, base_, "qcow2", k_minute); });
  EXPECT_EQ(error.fault(), Fault::conflict);
  EXPECT_NE(std::string(error.what()).find("resized"), std::string::npos) << error.what();
}

TEST_F(OfflineCommit, RefusesImagesInUse) {
  const base::Child holder(
      {.arguments = {"qemu-nbd", "-t", "-f", "qcow2", "-k", file("s").string(), overlay_.string()}});
  const base::Stopwatch watch;
  while (!std::filesystem::exists(file("s")) && watch.elapsed() < std::chrono::seconds(20)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const base::Error error = error_of([&] { commit_offline(overlay_, base_, "qcow2", k_minute); });
  EXPECT_EQ(error.fault(), Fault::busy) << error.what();
}

TEST_F(OfflineCommit, TellsWhetherAnOverlayWasWrittenTo) {
  EXPECT_TRUE(was_written_to(overlay_, base_, "qcow2"));
  const auto unused = make_overlay("unused.qcow2", base_, "qcow2");
  EXPECT_FALSE(was_written_to(unused, base_, "qcow2"));
  io(unused, "qcow2", {"write -z 3M 64k"});
  EXPECT_TRUE(was_written_to(unused, base_, "qcow2")) << "zeros are data too";
}

TEST_F(OfflineCommit, StopsOnRequestAndCanBeRepeated) {
  std::stop_source stop;
  stop.request_stop();
  const base::Error error = error_of([&] { commit_offline(overlay_, base_, "qcow2", k_minute, stop.get_token()); });
  EXPECT_EQ(error.fault(), Fault::cancelled);
  commit_offline(overlay_, base_, "qcow2", k_minute);
  expect_base_is_wanted();
}

}  // namespace
}  // namespace icecore::disk
