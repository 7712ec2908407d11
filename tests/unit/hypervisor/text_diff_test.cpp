// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/text_diff.hpp"

#include <gtest/gtest.h>

#include <random>

#include "base/process.hpp"

namespace icecore::hypervisor {
namespace {

TEST(TextDiff, PrintsHunksAsDiffDoes) {
  EXPECT_EQ(unified_diff("a\nb\n", "a\nb\n", "old", "new"), "");
  EXPECT_EQ(unified_diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n", "old", "new"),
            "--- old\n+++ new\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
  EXPECT_EQ(unified_diff("", "a\n", "old", "new"), "--- old\n+++ new\n@@ -0,0 +1,1 @@\n+a\n");
  EXPECT_EQ(unified_diff("a\n", "", "old", "new"), "--- old\n+++ new\n@@ -1,1 +0,0 @@\n-a\n");
}

std::string some_lines(std::mt19937& random) {
  std::string text;
  for (auto count = random() % 40; count > 0; --count)
    text += std::string(1, static_cast<char>('a' + random() % 5)) + "\n";
  return text;
}

// patch(1) is the judge: applied to the old text the diff must give the new one.
TEST(TextDiff, PatchAppliesIt) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 20; ++round) {
    const std::string before = some_lines(random);
    const std::string after = some_lines(random);
    if (before == after) continue;
    const std::string script = "f=$(mktemp); printf '%s' \"$1\" >$f; patch -s -o - $f; code=$?; rm -f $f; exit $code";
    const auto outcome =
        base::run({.arguments = {"sh", "-c", script, "sh", before}, .input = unified_diff(before, after, "a/x", "b/x")},
                  std::chrono::seconds(10));
    EXPECT_EQ(outcome.output, after) << outcome.error_output;
  }
}

}  // namespace
}  // namespace icecore::hypervisor
