// SPDX-License-Identifier: Apache-2.0
#include "base/printable.hpp"

#include <gtest/gtest.h>

namespace icecore::base {
namespace {

TEST(Printable, TextsOfAllLanguagesStay) {
  for (const char* text : {"", "web1", "two\nlines\tand a tab", "K\u00fcche", "\u00a0", "\u4e2d\u6587", "\U0001f98a"}) {
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Printable, WhatATerminalObeysIsShown) {
  EXPECT_EQ(printable("a\x1b[2Jb"), "a\\u001b[2Jb");
  EXPECT_EQ(printable("\x1b]0;title\a\r"), "\\u001b]0;title\\u0007\\u000d");
  EXPECT_EQ(printable(std::string_view("\0\x7f", 2)), "\\u0000\\u007f");
  EXPECT_EQ(printable("\u009b31m"), "\\u009b31m") << "CSI of 8 bits, as UTF-8";
  EXPECT_EQ(printable("\x9b"
                      "31m"),
            "\\x9b31m")
      << "and as it is";
  EXPECT_EQ(printable("txt.\u202egpj"), "txt.\\u202egpj");
}

TEST(Printable, WhatIsNoUtf8IsShown) {
  EXPECT_EQ(printable("\xff"
                      "a"),
            "\\xffa");
  EXPECT_EQ(printable("\xc0\x9b"), "\\xc0\\x9b") << "too long";
  EXPECT_EQ(printable("\xe0\x80\x9b"), "\\xe0\\x80\\x9b") << "too long";
  EXPECT_EQ(printable("\xe4\xb8"), "\\xe4\\xb8") << "cut off";
}

}  // namespace
}  // namespace icecore::base
