// SPDX-License-Identifier: Apache-2.0
#include "base/durable_file.hpp"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace icecore::base
