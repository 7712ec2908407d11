// SPDX-License-Identifier: Apache-2.0
#include "base/error.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace icecore::base {
namespace {

TEST(Error, ContextsPrintOutermostFirst) {
  try {
    with_context([] { with_context([] { fail(Fault::corrupt, "hash {} differs", 7); }, "disk '{}'", "vda"); },
                 "domain '{}'", "web1");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "domain 'web1': disk 'vda': hash 7 differs");
    EXPECT_EQ(error.fault(), Fault::corrupt);
  }
}

TEST(Error, ErrnoChoosesTheFault) {
  try {
    fail_errno(ENOSPC, "write '/x'");
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::no_space);
    EXPECT_STREQ(error.what(), "write '/x': No space left on device");
  }
}

TEST(Error, TheInnermostHintWins) {
  Error error(Fault::busy, "locked");
  error.add_hint("icecore doctor").add_hint("icecore list");
  EXPECT_EQ(error.hint(), "icecore doctor");
}

}  // namespace
}  // namespace icecore::base
