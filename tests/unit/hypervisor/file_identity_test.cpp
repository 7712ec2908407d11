// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/file_identity.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <fstream>

#include "base/error.hpp"
#include "base/handle.hpp"
#include "base/id.hpp"

namespace icecore::hypervisor {
namespace {

namespace fs = std::filesystem;

class FileIdentityTest : public testing::Test {
 protected:
  fs::path folder_ = fs::temp_directory_path() / ("icecore-test-" + base::random_id(6));
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
};

TEST_F(FileIdentityTest, IsTheSameByEachName) {
  const fs::path file = folder_ / "a";
  std::ofstream(file) << "x";
  std::ofstream(folder_ / "other") << "x";
  fs::create_hard_link(file, folder_ / "hard");
  fs::create_symlink("a", folder_ / "soft");
  fs::create_directory_symlink(folder_, folder_ / "up");
  for (const fs::path& name : {file, folder_ / "hard", folder_ / "soft", folder_ / "up" / "a"})
    EXPECT_TRUE(is_same(identify(file), identify(name))) << name;
  EXPECT_TRUE(is_same(identify(folder_ / "none"), identify(folder_ / "up" / "none")));
  for (const fs::path& name : {folder_ / "other", folder_ / "none"})
    EXPECT_FALSE(is_same(identify(file), identify(name))) << name;
}

// One that nobody serves, in a mount namespace of this process: its look-ups wait for an answer.
TEST_F(FileIdentityTest, OnAFileSystemThatHangsIsGivenUp) {
  const base::Fd server(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!server || ::unshare(CLONE_NEWNS) != 0) GTEST_SKIP() << "needs root and FUSE";
  ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  const fs::path hung = folder_ / "hung";
  fs::create_directory(hung);
  const std::string options = "fd=" + std::to_string(server.get()) + ",rootmode=40000,user_id=0,group_id=0";
  ASSERT_EQ(::mount("none", hung.c_str(), "fuse", 0, options.c_str()), 0);
  const base::ScopeExit unmount([&] { ::umount2(hung.c_str(), MNT_FORCE | MNT_DETACH); });
  try {
    identify(hung / "disk.qcow2", base::Milliseconds(100));
    FAIL() << "it answered";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::unavailable);
    EXPECT_NE(std::string(error.what()).find("does not answer"), std::string::npos);
  }
}

}  // namespace
}  // namespace icecore::hypervisor
