// SPDX-License-Identifier: Apache-2.0
#include "base/nearest_name.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace icecore::base {
namespace {

const std::vector<std::string> k_commands = {"backup", "init", "list", "recover", "restore"};

TEST(NearestName, FindsTypingMistakes) {
  EXPECT_EQ(nearest_name("bakcup", k_commands), "backup");
  EXPECT_EQ(nearest_name("lst", k_commands), "list");
  EXPECT_EQ(nearest_name("restor", k_commands), "restore");
  EXPECT_EQ(nearest_name("recovr", k_commands), "recover");
}

TEST(NearestName, KeepsQuietWhenNothingIsNear) {
  EXPECT_EQ(nearest_name("delete", k_commands), "");
  EXPECT_EQ(nearest_name("x", k_commands), "");
  EXPECT_EQ(nearest_name("anything", {}), "");
}

}  // namespace
}  // namespace icecore::base
