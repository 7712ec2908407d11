// SPDX-License-Identifier: Apache-2.0
#include "cli/help.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "cli/program.hpp"

namespace icecore::cli {

namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

constexpr std::size_t k_help_width = 100;
constexpr std::size_t k_left_width_max = 30;

// The text in lines of at most `width`, each after the first indented.
std::string wrap(const std::string& text, std::size_t indent, std::size_t width) {
  std::string out;
  std::size_t column = indent;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    if (column > indent && column + 1 + word.size() > width) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    }
    if (column > indent) out += ' ', ++column;
    out += word;
    column += word.size();
    at = end + 1;
  }
  return out;
}

// A titled list of "left  right" lines; the right column starts at the same place in all of them.
std::string section(const std::string& title, const Lines& lines) {
  if (lines.empty()) return "";
  std::size_t left_width = 0;
  for (const auto& [left, right] : lines) {
    if (left.size() <= k_left_width_max) left_width = std::max(left_width, left.size());
  }
  const std::size_t indent = left_width + 4;
  std::string out = "\n" + title + ":\n";
  for (const auto& [left, right] : lines) {
    const std::string gap =
        left.size() > left_width ? "\n" + std::string(indent, ' ') : std::string(left_width - left.size() + 2, ' ');
    out += "  " + left + gap + wrap(right, indent, k_help_width) + "\n";
  }
  return out;
}

std::string with_placeholder(const Word& word) {
  std::string names = word.names;
  if (const auto comma = names.find(','); comma != std::string::npos) names.insert(comma + 1, " ");
  return names + word.value_text();
}

std::string positional_text(const WordList::Entry& entry) {
  const std::string name =
      entry.word.names + (entry.count == Count::at_least_one || entry.count == Count::any ? "..." : "");
  return entry.count == Count::optional || entry.count == Count::any ? "[" + name + "]" : name;
}

Lines words_of(const WordList& words, bool positionals) {
  Lines lines;
  for (const WordList::Entry& entry : words.entries()) {
    if ((entry.kind == WordList::Entry::Kind::positional) != positionals) continue;
    lines.emplace_back(positionals ? positional_text(entry) : with_placeholder(entry.word), entry.word.help);
  }
  return lines;
}

Lines lines_of(const std::vector<JsonField>& fields) {
  Lines lines;
  for (const JsonField& field : fields) lines.emplace_back(field.name, field.meaning);
  return lines;
}

std::string usage(const Command& command) {
  std::string line = "Usage: icecore " + command.text.name;
  for (const auto& [positional, help] : words_of(command.words, true)) line += " " + positional;
  return line + " [OPTIONS]\n";
}

std::string examples_of(const CommandText& text) {
  if (text.examples.empty()) return "";
  std::string out = "\nExamples:\n";
  for (const Example& example : text.examples) out += fmt::format("  {}\n      {}\n", example.line, example.does);
  return out;
}

}  // namespace

std::string exit_code_table() {
  std::string out;
  for (const ExitCodeMeaning& row : exit_codes()) {
    out += fmt::format("  {:>3}  {}\n", static_cast<int>(row.code), row.meaning);
  }
  return out;
}

std::string program_help(const std::vector<Command>& commands, const WordList& common) {
  Lines lines;
  for (const Command& command : commands) lines.emplace_back(command.text.name, command.text.summary);
  return "icecore: backs up libvirt virtual machines while they run, and brings them back.\n\n"
         "Usage: icecore COMMAND [OPTIONS]\n" +
         section("Commands", lines) + section("Common options", words_of(common, false)) +
         "\nPassphrase, when no key file is named: ICECORE_PASSPHRASE_FILE, ICECORE_PASSPHRASE_COMMAND, the "
         "terminal.\n" +
         "\nExit codes:\n" + exit_code_table() + "\nMore on a command, with examples: icecore COMMAND --help\n";
}

std::string command_help(const Command& command, const WordList& common) {
  return usage(command) + "\n" + wrap(command.text.description, 0, k_help_width) + "\n" +
         section("Arguments", words_of(command.words, true)) + section("Options", words_of(command.words, false)) +
         section("Common options", words_of(common, false)) + examples_of(command.text) +
         section("Record printed by --json", lines_of(command.text.json)) +
         section("Record printed by --json when it fails", lines_of(failure_fields())) + "\nExit codes:\n" +
         exit_code_table();
}

}  // namespace icecore::cli
