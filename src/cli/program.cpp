// SPDX-License-Identifier: Apache-2.0
#include "cli/program.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"
#include "cli/help.hpp"
#include "cli/manual_page.hpp"
#include "cli/printable_stream.hpp"

namespace icecore::cli {

namespace {

using Arguments = std::vector<std::string>;

bool asks_for(const Arguments& arguments, std::initializer_list<std::string_view> words) {
  const auto end = std::find(arguments.begin(), arguments.end(), "--");
  return std::find_first_of(arguments.begin(), end, words.begin(), words.end()) != end;
}

// Where the words of a command's name stand one after another on the line.
Arguments::const_iterator find_name(const Arguments& arguments, const std::string& name) {
  const auto space = name.find(' ');
  if (space == std::string::npos) return std::find(arguments.begin(), arguments.end(), name);
  const Arguments words = {name.substr(0, space), name.substr(space + 1)};
  return std::search(arguments.begin(), arguments.end(), words.begin(), words.end());
}

// The help asked for, also when the line would not parse.
std::string help_for(const Arguments& arguments, const std::vector<Command>& commands, const WordList& common) {
  const Command* first = nullptr;
  auto first_at = arguments.end();
  for (const Command& command : commands) {
    const auto at = find_name(arguments, command.text.name);
    if (at < first_at) first = &command, first_at = at;
  }
  return first == nullptr ? program_help(commands, common) : command_help(*first, common);
}

base::LogLevel log_level(const SessionOptions& options) {
  if (options.quiet) return base::LogLevel::quiet;
  if (options.verbose == 0) return base::LogLevel::normal;
  return options.verbose == 1 ? base::LogLevel::verbose : base::LogLevel::debug;
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// The next command for who made the error knew none.
std::string_view general_hint(base::Fault fault) {
  switch (fault) {
    case base::Fault::usage: return "icecore --help";
    case base::Fault::busy: return "the same again later; `icecore doctor` shows who is at work";
    case base::Fault::no_space: return "free some space there, then the same again";
    case base::Fault::corrupt: return "`icecore list` shows the points that can be read";
    case base::Fault::not_found:
    case base::Fault::unavailable:
    case base::Fault::denied:
    case base::Fault::conflict:
    case base::Fault::internal: return "icecore doctor";
    case base::Fault::cancelled: break;
  }
  return "the same again; what was begun is put back";
}

std::string hint_of(const base::Error& error) {
  return one_line(error.hint().empty() ? std::string(general_hint(error.fault())) : error.hint());
}

ExitCode run_command(Session& session, Arguments arguments, const std::vector<Command>& commands,
                     const WordList& common) {
  if (arguments.empty()) {
    session.console.err << program_help(commands, common);
    return ExitCode::usage;
  }
  if (arguments.front() == "--version") arguments.front() = "version";  // as every GNU program takes it
  if (arguments.front() == k_manual_page_command) {
    session.console.out << manual_page(commands, common);
    return ExitCode::ok;
  }
  if (asks_for(arguments, {"-h", "--help"}) || arguments.front() == "help") {
    session.console.out << help_for(arguments, commands, common);
    return ExitCode::ok;
  }
  std::vector<ParsableCommand> parsable;
  for (const Command& command : commands) parsable.push_back({command.text.name, &command.words});
  const auto index = parse_command_line(arguments, common, parsable);
  if (!index) throw base::Error(base::Fault::usage, "no command is named").add_hint("icecore --help");
  fill_from_environment(session.options, session.environment);
  base::set_log_level(log_level(session.options));
  return commands[*index].run(session);
}

ExitCode report(Session& session, bool json, const base::Error& error) {
  const ExitCode code = exit_code_of(error.fault());
  print_error(session.console, error);
  if (json) {
    session.console.print_json({{"error", error_record(error)}, {"exit_code", static_cast<int>(code)}});
  }
  return code;
}

}  // namespace

void print_error(Console& console, const base::Error& error) {
  console.err << "icecore: " << one_line(error.what()) << '\n';
  console.err << "  try: " << hint_of(error) << '\n';
}

base::Json error_record(const base::Error& error) {
  return {{"fault", base::to_string(error.fault())}, {"message", error.what()}, {"hint", hint_of(error)}};
}

std::vector<JsonField> failure_fields() {
  return {{"error.fault",
           "usage, not_found, busy, unavailable, no_space, denied, corrupt, conflict, cancelled or internal"},
          {"error.message", "what went wrong, as on standard error"},
          {"error.hint", "what to type or do next"},
          {"exit_code", "as the process returns it"}};
}

ExitCode run_program(const std::vector<std::string>& arguments, std::vector<Command> commands, Console& console,
                     const Environment& environment) {
  // Whatever a domain, a server or a repository calls itself, no terminal obeys it.
  PrintableStream out(console.out);
  PrintableStream err(console.err);
  Console safe{out, err, console.err_is_terminal, console.width, &console.err};
  Session session{{}, safe, environment};
  WordList common;
  declare_session_options(common, session.options);
  const bool json = asks_for(arguments, {"--json"});
  try {
    return run_command(session, arguments, commands, common);
  } catch (const base::Error& error) {
    return report(session, json, error);
  } catch (const std::exception& error) {
    return report(session, json, base::Error(base::Fault::internal, error.what()));
  }
}

}  // namespace icecore::cli
