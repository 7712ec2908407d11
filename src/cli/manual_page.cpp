// SPDX-License-Identifier: Apache-2.0
#include "cli/manual_page.hpp"

#include <fmt/core.h>

#include "cli/exit_code.hpp"
#include "cli/program.hpp"

namespace icecore::cli {

namespace {

// Text as roff reads it literally: '\', '-' and a leading '.' or '\'' mean something there.
std::string escape(std::string_view text) {
  std::string out;
  if (text.starts_with('.') || text.starts_with('\'')) out += "\\&";
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

std::string entry(std::string_view term, std::string_view text) {
  return fmt::format(".TP\n\\fB{}\\fR\n{}\n", escape(term), escape(text));
}

std::string words(const WordList& list) {
  std::string out;
  for (const WordList::Entry& word : list.entries()) {
    out += entry(word.word.names + word.word.value_text(), word.word.help);
  }
  return out;
}

std::string command_section(const Command& command) {
  std::string out = fmt::format(".SS icecore {}\n{}\n", escape(command.text.name), escape(command.text.description));
  out += words(command.words);
  for (const Example& example : command.text.examples) {
    out += fmt::format(".PP\n.EX\n{}\n.EE\n{}\n", escape(example.line), escape(example.does));
  }
  out += ".PP\nRecord printed by \\-\\-json:\n";
  for (const JsonField& field : command.text.json) out += entry(field.name, field.meaning);
  return out;
}

}  // namespace

std::string manual_page(const std::vector<Command>& commands, const WordList& common) {
  std::string out = fmt::format(
      ".TH ICECORE 1 \"\" \"icecore {}\"\n"
      ".SH NAME\nicecore \\- backs up libvirt virtual machines while they run, and brings them back\n"
      ".SH SYNOPSIS\n.B icecore\nCOMMAND [OPTIONS]\n"
      ".SH COMMANDS\n",
      ICECORE_VERSION);
  for (const Command& command : commands) out += command_section(command);
  out += ".SH FAILURES\nRecord printed by \\-\\-json when a command fails:\n";
  for (const JsonField& field : failure_fields()) out += entry(field.name, field.meaning);
  out += ".SH COMMON OPTIONS\n" + words(common);
  out += ".SH ENVIRONMENT\n" +
         entry("ICECORE_PASSPHRASE_FILE", "a file whose first line is the passphrase, when no key file is named") +
         entry("ICECORE_PASSPHRASE_COMMAND", "a command that prints it; without either, the terminal is asked") +
         entry("ICECORE_SSH_KEY_PASSPHRASE_FILE", "sftp: a file whose first line is the passphrase of the key files") +
         entry("ICECORE_SSH_PASSWORD_FILE, ICECORE_SSH_PASSWORD",
               "sftp: a file whose first line is the account's password, or the password; tried after ssh-agent and "
               "the key files") +
         entry("ICECORE_SFTP_CONNECTIONS", "sftp: connections at most at the same time, 10 when it is not set");
  out += ".SH EXIT STATUS\n";
  for (const ExitCodeMeaning& row : exit_codes()) {
    out += entry(std::to_string(static_cast<int>(row.code)), row.meaning);
  }
  return out;
}

}  // namespace icecore::cli
