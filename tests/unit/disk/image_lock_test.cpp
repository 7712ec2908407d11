// SPDX-License-Identifier: Apache-2.0
// Against QEMU's own program, which locks what it opens as the emulator does.
#include "disk/image_lock.hpp"

#include "unit/disk/image_fixture.hpp"

namespace icecore::disk {
namespace {

class ImageLockTest : public ImageTest {
 protected:
  ImageLockTest() : image_(make("image.qcow2", "qcow2", "4M")) {}

  // Has the image open, until it is destroyed.
  base::Child open(std::vector<std::string> options) const {
    std::vector<std::string> arguments = {"qemu-io", "-f", "qcow2"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    arguments.push_back(image_.string());
    base::Child program({.arguments = std::move(arguments)}, base::Wiring::dialog);
    program.send_line("length");
    EXPECT_TRUE(program.read_line(std::chrono::seconds(30)));
    return program;
  }
  bool is_open(ImageUser user) const { return is_open_in_qemu(image_, user); }

  std::filesystem::path image_;
};

TEST_F(ImageLockTest, TellsOfAWriter) {
  {
    const base::Child writer = open({});
    EXPECT_TRUE(is_open(ImageUser::writer));
    EXPECT_TRUE(is_open(ImageUser::any));
  }
  EXPECT_FALSE(is_open(ImageUser::writer));
  EXPECT_FALSE(is_open(ImageUser::any));
}

TEST_F(ImageLockTest, TellsOfAReaderThatCountsOnTheContent) {
  const base::Child reader = open({"-r"});
  EXPECT_FALSE(is_open(ImageUser::writer));
  EXPECT_TRUE(is_open(ImageUser::any));
}

TEST_F(ImageLockTest, TellsNotOfAPassingLook) {
  const base::Child looker = open({"-r", "-U"});
  EXPECT_FALSE(is_open(ImageUser::any));
}

TEST_F(ImageLockTest, TellsOfAReaderThroughAnOverlay) {
  const auto overlay = make_overlay("overlay.qcow2", image_, "qcow2");
  base::Child writer({.arguments = {"qemu-io", "-f", "qcow2", overlay.string()}}, base::Wiring::dialog);
  writer.send_line("length");
  ASSERT_TRUE(writer.read_line(std::chrono::seconds(30)));
  EXPECT_FALSE(is_open(ImageUser::writer));
  EXPECT_TRUE(is_open(ImageUser::any));
}

}  // namespace
}  // namespace icecore::disk
