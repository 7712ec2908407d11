// SPDX-License-Identifier: Apache-2.0
// Overlays made by us: laid out as their base is, nothing in the clear where QEMU encrypts, and merged with the key.
#include "disk/overlay_image.hpp"

#include <fstream>
#include <iterator>
#include <regex>

#include "disk/offline_commit.hpp"
#include "unit/disk/image_fixture.hpp"

namespace icecore::disk {
namespace {

using base::Fault;
constexpr base::Milliseconds k_minute = std::chrono::minutes(1);

class OverlayImage : public ImageTest {
 protected:
  std::filesystem::path make_encrypted(const std::string& name) {
    // An overlay without a base below it is an image like any other.
    const auto plain = make("for-" + name, "qcow2", "4M");
    create_overlay(file(name), inspect_image(plain, "qcow2"), &key_);
    run({"qemu-img", "rebase", "-u", "-b", "", "--object", "secret,id=k,data=" + key_.text(), "--image-opts",
         "driver=qcow2,encrypt.key-secret=k,file.filename=" + escaped(file(name))});
    return file(name);
  }

  static std::string escaped(const std::string& path) { return std::regex_replace(path, std::regex(","), ",,"); }

  void encrypted_io(const std::filesystem::path& top, const std::vector<std::string>& commands,
                    const std::filesystem::path& backing = {}) {
    std::vector<std::string> arguments = {"qemu-io", "--object", "secret,id=k,data=" + key_.text()};
    for (const std::string& command : commands) arguments.insert(arguments.end(), {"-c", command});
    std::string options = "driver=qcow2,encrypt.key-secret=k,file.filename=" + escaped(top);
    if (!backing.empty())
      options += ",backing.driver=qcow2,backing.encrypt.key-secret=k,backing.file.filename=" + escaped(backing);
    arguments.insert(arguments.end(), {"--image-opts", options});
    run(arguments);
  }

  static std::string bytes_of(const std::filesystem::path& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  }

  base::Passphrase key_{std::string("correct-horse")};
};

TEST_F(OverlayImage, IsLaidOutAsItsBase) {
  const auto base = make("base.qcow2", "qcow2", "5M", "cluster_size=128k,extended_l2=on");
  create_overlay(file("overlay.qcow2"), inspect_image(base, "qcow2"), nullptr);
  const ImageInfo overlay = inspect_image(file("overlay.qcow2"), "qcow2");
  EXPECT_EQ(overlay.backing, base);
  EXPECT_EQ(overlay.backing_format, "qcow2");
  EXPECT_EQ(overlay.virtual_size, 5U << 20);
  EXPECT_EQ(overlay.cluster_size, 128U << 10);
  EXPECT_TRUE(overlay.extended_l2);
  EXPECT_FALSE(overlay.encrypted);
  EXPECT_EQ(std::filesystem::status(overlay.path).permissions(), std::filesystem::perms(0600));
  EXPECT_FALSE(std::filesystem::exists(unfinished_overlay(overlay.path)));
}

TEST_F(OverlayImage, LiesOverARawBaseToo) {
  const auto base = make("base.raw", "raw", "3M");
  create_overlay(file("overlay.qcow2"), inspect_image(base, "raw"), nullptr);
  EXPECT_EQ(inspect_image(file("overlay.qcow2"), "qcow2").backing_format, "raw");
}

TEST_F(OverlayImage, TakesNoNameThatExists) {
  const auto base = make("base.qcow2", "qcow2", "1M");
  const base::Error error = error_of([&] { create_overlay(base, inspect_image(base, "qcow2"), nullptr); });
  EXPECT_EQ(error.fault(), Fault::conflict);
  EXPECT_FALSE(std::filesystem::exists(unfinished_overlay(base)));
}

TEST_F(OverlayImage, AFailureLeavesNothing) {
  const auto base = make("base.raw", "raw", "1M");
  ImageInfo impossible = inspect_image(base, "raw");
  impossible.format = "qcow2";
  impossible.cluster_size = 3;
  EXPECT_THROW(create_overlay(file("overlay.qcow2"), impossible, nullptr), base::Error);
  EXPECT_FALSE(std::filesystem::exists(file("overlay.qcow2")));
  EXPECT_FALSE(std::filesystem::exists(unfinished_overlay(file("overlay.qcow2"))));
}

TEST_F(OverlayImage, AnEncryptedOneHoldsNothingInTheClearAndIsMergedWithItsKey) {
  const auto base = make_encrypted("base,with,commas.qcow2");
  create_overlay(file("overlay.qcow2"), inspect_image(base, "qcow2"), &key_);
  ASSERT_TRUE(inspect_image(file("overlay.qcow2"), "qcow2").encrypted);
  EXPECT_FALSE(was_written_to(file("overlay.qcow2"), base, "qcow2", {}, &key_));
  encrypted_io(file("overlay.qcow2"), {"write -P 0x5a 1M 64k"}, base);
  EXPECT_TRUE(was_written_to(file("overlay.qcow2"), base, "qcow2", {}, &key_));
  EXPECT_EQ(bytes_of(file("overlay.qcow2")).find(std::string(512, '\x5a')), std::string::npos);

  const base::Passphrase wrong(std::string("wrong"));
  EXPECT_EQ(error_of([&] { commit_offline(file("overlay.qcow2"), base, "qcow2", k_minute, {}, &wrong); }).fault(),
            Fault::denied);
  commit_offline(file("overlay.qcow2"), base, "qcow2", k_minute, {}, &key_);
  EXPECT_EQ(bytes_of(base).find(std::string(512, '\x5a')), std::string::npos);
  encrypted_io(base, {"read -P 0x5a 1M 64k"});
}

}  // namespace
}  // namespace icecore::disk
