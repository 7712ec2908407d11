// SPDX-License-Identifier: Apache-2.0
#include "cli/table.hpp"

#include <gtest/gtest.h>

namespace icecore::cli {
namespace {

TEST(Table, AlignsColumns) {
  EXPECT_EQ(format_table({{"ID"}, {"SIZE", Align::right}, {"NAME"}}, {{"a", "10 MiB", "x"}, {"abcd", "1 B", "longer"}}),
            "ID      SIZE  NAME\n"
            "a     10 MiB  x\n"
            "abcd     1 B  longer\n");
}

TEST(Table, CountsCodePointsNotBytes) {
  EXPECT_EQ(format_table({{"N"}, {"X"}}, {{"höfe", "1"}, {"abcd", "2"}}), "N     X\nhöfe  1\nabcd  2\n");
}

TEST(Table, ControlCharactersCannotReachTheTerminal) {
  EXPECT_EQ(format_table({{"N"}}, {{"a\x1b[2Jb\n"}}), "N\na?[2Jb?\n");
}

TEST(Facts, AlignsValues) {
  EXPECT_EQ(format_facts({{"a", "1"}, {"long", "2"}, {"", "3"}}), "a:     1\nlong:  2\n       3\n");
}

}  // namespace
}  // namespace icecore::cli
