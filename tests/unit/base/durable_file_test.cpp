// SPDX-License-Identifier: Apache-2.0
#include "base/durable_file.hpp"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <cstddef>

#include "base/buffer.hpp"
#include "base/error.hpp"
#include "base/id.hpp"

namespace icecore::base {
namespace {

class DurableFile : public testing::Test {
 protected:
  std::filesystem::path folder_ = std::filesystem::temp_directory_path() / ("icecore-test-" + random_id(6));
  void SetUp() override { create_folders(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
};

TEST_F(DurableFile, ReplacesWholeFilesAndLeavesNoTemp) {
  write_durably(folder_ / "a", as_bytes("one"));
  write_durably(folder_ / "a", as_bytes("second"));
  EXPECT_EQ(to_string(read_file(folder_ / "a")), "second");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

// Around a page and behind other parts, where a direct write would be refused.
TEST_F(DurableFile, LargePartsOfAnySizeArriveWhole) {
  for (const std::size_t size : {k_mib, k_mib + 1, k_mib + 4095, 3 * k_mib + 4096 + 17}) {
    Buffer large(size);
    for (std::size_t i = 0; i < size; ++i) large.data()[i] = static_cast<std::byte>(i * 7 + (i >> 12));
    const Bytes small(5, std::byte{9});
    for (const auto& parts : {std::vector<ByteView>{large.view(), small}, {small, large.view()}}) {
      write_durably(folder_ / "large", parts);
      Bytes expected;
      for (const ByteView part : parts) expected.insert(expected.end(), part.begin(), part.end());
      EXPECT_EQ(read_file(folder_ / "large"), expected) << size;
    }
  }
}

TEST_F(DurableFile, FailureLeavesNothing) {
  EXPECT_THROW(write_durably(folder_ / "missing" / "a", as_bytes("x")), Error);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(DurableFile, ShortReadIsCorrupt) {
  write_durably(folder_ / "a", as_bytes("0123456789"));
  EXPECT_EQ(to_string(read_file_range(folder_ / "a", 2, 3)), "234");
  try {
    read_file_range(folder_ / "a", 8, 3);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::corrupt);
  }
}

TEST_F(DurableFile, MissingIsNotFound) {
  try {
    read_file(folder_ / "none");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::not_found);
  }
}

// As NFS does, which has no such rename.
void refuse_renameat2() {
  const std::array<sock_filter, 4> filter = {{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                              BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 1),
                                              BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
                                              BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}};
  const sock_fprog program{static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    ::_exit(3);
}

class RenameToFreeName : public DurableFile {
 protected:
  void expect_all() {
    write_durably(folder_ / "a", as_bytes("one"));
    EXPECT_TRUE(rename_to_free_name(folder_ / "a", folder_ / "b"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "a"));
    write_durably(folder_ / "a", as_bytes("two"));
    EXPECT_FALSE(rename_to_free_name(folder_ / "a", folder_ / "b"));
    EXPECT_EQ(to_string(read_file(folder_ / "a")) + to_string(read_file(folder_ / "b")), "twoone");
    std::filesystem::create_hard_link(folder_ / "b", folder_ / "c");  // as a death in between leaves it
    EXPECT_TRUE(rename_to_free_name(folder_ / "c", folder_ / "b"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "c"));
    EXPECT_EQ(to_string(read_file(folder_ / "b")), "one");
    EXPECT_THROW(rename_to_free_name(folder_ / "missing", folder_ / "d"), Error);
  }
};

TEST_F(RenameToFreeName, IsAllOrNothing) { expect_all(); }

TEST_F(RenameToFreeName, IsSoWhereTheFileSystemKnowsNoSuchRename) {
  const auto without_it = [&] {
    refuse_renameat2();
    expect_all();
    ::_exit(HasFailure() ? 1 : 0);
  };
  EXPECT_EXIT(without_it(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace icecore::base
