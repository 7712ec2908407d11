// SPDX-License-Identifier: Apache-2.0
// Declares the words of commands: each becomes a CLI11 option and a line of help at once. CLI11 itself is
// only in command_parser.cpp, which keeps builds fast and every message in our words.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace icecore::cli {

// Takes a value as typed. Throws Fault::usage when it does not fit.
using Setter = std::function<void(const std::string& value)>;

enum class Count { one, optional, at_least_one, any };

// One line of help.
struct Word {
  std::string names;        // "-r,--repository", or "DOMAIN" for a positional
  std::string placeholder;  // "URL"; "[=PERCENT]" where the value may be missing; empty for flags
  std::string help;

  // " URL" or "[=PERCENT]", as it follows the name.
  std::string value_text() const;
};

// The words of one command, or those common to all. Setters run only once the whole line has parsed.
class WordList {
 public:
  void flag(std::string names, std::string help, bool& target);
  // A flag that may be given several times: how often.
  void counted_flag(std::string names, std::string help, int& target);
  // With or without a value, which is then `otherwise`. "--name=VALUE" only: the word after "--name" is not its value.
  void flag_or_value(std::string names, std::string placeholder, std::string otherwise, std::string help, Setter set);
  void option(std::string names, std::string placeholder, std::string help, Setter set);
  // The option may be given several times; each value is set in turn.
  void repeatable(std::string names, std::string placeholder, std::string help, Setter set);
  void positional(std::string name, std::string help, Count count, Setter set);

  // Common targets.
  static Setter into(std::string& target);
  static Setter into(std::optional<std::string>& target);
  static Setter into(std::filesystem::path& target);
  static Setter into(std::optional<std::filesystem::path>& target);
  static Setter into(std::vector<std::string>& target);
  static Setter whole_number(int& target, int min, int max);
  // One of the words, or Fault::usage with the list.
  template <typename Value>
  static Setter choice(Value& target, std::vector<std::pair<std::string, Value>> choices) {
    return [&target, choices = std::move(choices)](const std::string& word) {
      std::vector<std::string> known;
      for (const auto& [name, value] : choices) {
        if (name == word) {
          target = value;
          return;
        }
        known.push_back(name);
      }
      refuse_choice(word, known);
    };
  }

  struct Entry {
    enum class Kind { flag, flag_or_value, option, repeatable, positional };
    Kind kind;
    Word word;
    Count count = Count::optional;
    Setter set;
    std::function<void(int)> set_flag = {};  // how often it was given
    std::string otherwise = {};
  };
  const std::vector<Entry>& entries() const noexcept { return entries_; }

 private:
  [[noreturn]] static void refuse_choice(const std::string& word, const std::vector<std::string>& known);

  std::vector<Entry> entries_;
};

// A command for the parser: its name ("policy check" is nested) and words.
struct ParsableCommand {
  std::string name;
  const WordList* words;  // outlives the call
};

// Reads `arguments` (without the program's name), runs the setters and returns the index of the command meant,
// or nothing when there is none on the line. Throws Fault::usage with a suggestion and the help to read.
std::optional<std::size_t> parse_command_line(const std::vector<std::string>& arguments, const WordList& common,
                                              const std::vector<ParsableCommand>& commands);

}  // namespace icecore::cli
