// SPDX-License-Identifier: Apache-2.0
#include "cli/help.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

#include "cli/commands.hpp"
#include "cli/manual_page.hpp"

namespace icecore::cli {
namespace {

using testing::HasSubstr;

class HelpTest : public testing::Test {
 protected:
  HelpTest() { declare_session_options(common_, options_); }

  SessionOptions options_;
  WordList common_;
};

// What stands after `icecore` and before a redirection.
std::vector<std::string> words_of(const Example& example) {
  std::istringstream line(example.line.substr(0, example.line.find(" > ")));
  std::vector<std::string> words{std::istream_iterator<std::string>(line), {}};
  words.erase(words.begin(), std::find(words.begin(), words.end(), "icecore") + 1);
  return words;
}

// ICECORE_ACCEPT=1 writes the texts anew and reports skipped: read the diff, then commit it.
TEST_F(HelpTest, TextsAreTheGoldenOnes) {
  std::string text = program_help(all_commands(), common_);
  for (const Command& command : all_commands()) {
    text += "\n======== icecore " + command.text.name + " --help\n" + command_help(command, common_);
  }
  const std::string path = std::string(ICECORE_GOLDEN) + "/help.txt";
  if (std::getenv("ICECORE_ACCEPT") != nullptr) {
    std::ofstream(path) << text;
    GTEST_SKIP() << "wrote " << path;
  }
  std::ostringstream golden;
  golden << std::ifstream(path).rdbuf();
  EXPECT_EQ(text, golden.str()) << "if this is meant: ICECORE_ACCEPT=1 ctest --preset dev -R HelpTest";
}

TEST_F(HelpTest, EveryCommandHasARealExampleAndARecord) {
  for (const Command& command : all_commands()) {
    EXPECT_FALSE(command.text.description.empty()) << command.text.name;
    EXPECT_FALSE(command.text.json.empty()) << command.text.name;
    ASSERT_FALSE(command.text.examples.empty()) << command.text.name;
    for (const Example& example : command.text.examples) {
      EXPECT_THAT(example.line, HasSubstr("icecore " + command.text.name));
    }
  }
}

// An example that would be refused is worse than none.
TEST_F(HelpTest, EveryExampleParses) {
  const std::vector<Command> commands = all_commands();
  std::vector<ParsableCommand> parsable;
  for (const Command& command : commands) parsable.push_back({command.text.name, &command.words});
  for (std::size_t i = 0; i < commands.size(); ++i) {
    for (const Example& example : commands[i].text.examples) {
      EXPECT_EQ(parse_command_line(words_of(example), common_, parsable), i) << example.line;
    }
  }
}

TEST_F(HelpTest, ManualPageHasEveryCommandOptionAndExitCode) {
  std::string page = manual_page(all_commands(), common_);
  std::erase(page, '\\');  // roff's escapes
  for (const Command& command : all_commands()) {
    EXPECT_NE(page.find(".SS icecore " + command.text.name + "\n"), std::string::npos) << command.text.name;
    for (const WordList::Entry& entry : command.words.entries()) {
      EXPECT_NE(page.find("fB" + entry.word.names), std::string::npos) << entry.word.names;
    }
  }
  for (const ExitCodeMeaning& row : exit_codes()) {
    EXPECT_NE(page.find(row.meaning), std::string::npos) << row.meaning;
  }
}

TEST_F(HelpTest, LinesFitATerminal) {
  for (const Command& command : all_commands()) {
    std::istringstream text(command_help(command, common_));
    for (std::string line; std::getline(text, line);) EXPECT_LE(line.size(), 100U) << line;
  }
}

}  // namespace
}  // namespace icecore::cli
