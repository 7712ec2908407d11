// SPDX-License-Identifier: Apache-2.0
#include "system/job/expect_error.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <vector>

namespace icecore::system_test {

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// The note that answers Ctrl-C is no error.
bool is_error(const std::string& line) {
  return line.starts_with("icecore: ") && !line.starts_with("icecore: stopping");
}

}  // namespace

void expect_error(const rig::IcecoreOutcome& outcome, int exit_code, const std::string& named) {
  EXPECT_EQ(outcome.exit_code, exit_code) << outcome.error_output;
  EXPECT_EQ(outcome.error_output.find("terminate"), std::string::npos) << outcome.error_output;
  const std::vector<std::string> lines = lines_of(outcome.error_output);
  const auto errors = std::count_if(lines.begin(), lines.end(), is_error);
  ASSERT_EQ(errors, 1) << outcome.error_output;
  ASSERT_GE(lines.size(), 2U) << "no next command: " << outcome.error_output;
  const std::string& error = lines[lines.size() - 2];
  EXPECT_TRUE(is_error(error)) << outcome.error_output;
  EXPECT_NE(error.find(named), std::string::npos) << outcome.error_output;
  EXPECT_TRUE(lines.back().starts_with("  try: ") && lines.back().size() > 10) << outcome.error_output;
}

}  // namespace icecore::system_test
