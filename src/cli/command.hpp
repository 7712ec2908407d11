// SPDX-License-Identifier: Apache-2.0
// A command: its text, its words, what it does. Help, parser, README check and program all read this one value.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command_parser.hpp"
#include "cli/exit_code.hpp"
#include "cli/session.hpp"

namespace icecore::cli {

struct Example {
  std::string line;  // what to type
  std::string does;
};

struct JsonField {
  std::string name;  // "points[].id"
  std::string meaning;
};

struct CommandText {
  std::string name;     // "policy check" is nested
  std::string summary;  // one line, no full stop
  std::string description;
  std::vector<Example> examples;
  std::vector<JsonField> json;  // what --json prints
};

struct Command {
  CommandText text;
  WordList words;
  std::function<ExitCode(Session&)> run;
};

// Joins a command's options to its two functions. `Options` is filled by the parser before `run` is called.
template <typename Options>
Command make_command(CommandText text, void (*declare)(WordList&, Options&),
                     ExitCode (*run)(Session&, const Options&)) {
  auto options = std::make_shared<Options>();
  Command command{std::move(text), {}, {}};
  declare(command.words, *options);
  command.run = [options, run](Session& session) { return run(session, *options); };
  return command;
}

}  // namespace icecore::cli
