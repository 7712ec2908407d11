// SPDX-License-Identifier: Apache-2.0
#include "base/shell_word.hpp"

#include <gtest/gtest.h>

#include "base/process.hpp"

namespace icecore::base {
namespace {

TEST(ShellWord, PlainWordsStayAsTheyAre) {
  for (const char* word : {"web1", "/srv/icecore", "sftp://backup@nas:2222/~/icecore", "web1@2026-11-21T09:30"}) {
    EXPECT_EQ(shell_word(word), word);
  }
  EXPECT_EQ(shell_word("my server"), "'my server'");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
}

TEST(ShellWord, ANameThatLooksLikeAnOptionGoesBehindTwoDashes) {
  EXPECT_EQ(shell_operand("web1"), "web1");
  EXPECT_EQ(shell_operand("-v"), "-- -v");
  EXPECT_EQ(shell_operand("-my server"), "-- '-my server'");
}

TEST(ShellWord, AShellReadsBackWhatWentIn) {
  for (const char* text :
       {"", " ", "my server", "it's", "a\"b", "$(reboot)", "`x`", "a\\b", "*", "~/x", "a\nb", "!!", "#1",
        "k\xc3\xbc"
        "che",
        ";", "-n"}) {
    const Outcome outcome =
        run({.arguments = {"/bin/sh", "-c", "printf %s " + shell_word(text)}}, std::chrono::seconds(10));
    EXPECT_EQ(outcome.output, text);
  }
}

}  // namespace
}  // namespace icecore::base
