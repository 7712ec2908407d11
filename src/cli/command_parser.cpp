// SPDX-License-Identifier: Apache-2.0
#include "cli/command_parser.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

#include "base/error.hpp"
#include "base/nearest_name.hpp"

namespace icecore::cli {

using base::Fault;

std::string Word::value_text() const {
  return placeholder.empty() || placeholder.front() == '[' ? placeholder : " " + placeholder;
}

void WordList::flag(std::string names, std::string help, bool& target) {
  entries_.push_back({.kind = Entry::Kind::flag,
                      .word = {std::move(names), "", std::move(help)},
                      .set_flag = [&target](int) { target = true; }});
}

void WordList::counted_flag(std::string names, std::string help, int& target) {
  entries_.push_back({.kind = Entry::Kind::flag,
                      .word = {std::move(names), "", std::move(help)},
                      .set_flag = [&target](int times) { target = times; }});
}

void WordList::flag_or_value(std::string names, std::string placeholder, std::string otherwise, std::string help,
                             Setter set) {
  entries_.push_back({.kind = Entry::Kind::flag_or_value,
                      .word = {std::move(names), std::move(placeholder), std::move(help)},
                      .set = std::move(set),
                      .otherwise = std::move(otherwise)});
}

void WordList::option(std::string names, std::string placeholder, std::string help, Setter set) {
  entries_.push_back({.kind = Entry::Kind::option,
                      .word = {std::move(names), std::move(placeholder), std::move(help)},
                      .set = std::move(set)});
}

void WordList::repeatable(std::string names, std::string placeholder, std::string help, Setter set) {
  entries_.push_back({.kind = Entry::Kind::repeatable,
                      .word = {std::move(names), std::move(placeholder), std::move(help)},
                      .set = std::move(set)});
}

void WordList::positional(std::string name, std::string help, Count count, Setter set) {
  entries_.push_back({.kind = Entry::Kind::positional,
                      .word = {std::move(name), "", std::move(help)},
                      .count = count,
                      .set = std::move(set)});
}

Setter WordList::into(std::string& target) {
  return [&target](const std::string& value) { target = value; };
}
Setter WordList::into(std::optional<std::string>& target) {
  return [&target](const std::string& value) { target = value; };
}
Setter WordList::into(std::filesystem::path& target) {
  return [&target](const std::string& value) { target = value; };
}
Setter WordList::into(std::optional<std::filesystem::path>& target) {
  return [&target](const std::string& value) { target = value; };
}
Setter WordList::into(std::vector<std::string>& target) {
  return [&target](const std::string& value) { target.push_back(value); };
}

Setter WordList::whole_number(int& target, int min, int max) {
  return [&target, min, max](const std::string& value) {
    int number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size() || number < min || number > max) {
      base::fail(Fault::usage, "'{}' is not a whole number from {} to {}", value, min, max);
    }
    target = number;
  };
}

void WordList::refuse_choice(const std::string& word, const std::vector<std::string>& known) {
  base::fail(Fault::usage, "'{}' is not one of: {}", word, fmt::join(known, ", "));
}

namespace {

using Values = std::vector<std::string>;

// What CLI11 collected for one word, to be set after the whole line has parsed.
struct Collected {
  const WordList::Entry* entry;
  std::shared_ptr<Values> values = std::make_shared<Values>();
  std::shared_ptr<int> seen = std::make_shared<int>(0);
};

Collected add_word(CLI::App& app, const WordList::Entry& entry) {
  Collected collected{&entry};
  using Kind = WordList::Entry::Kind;
  if (entry.kind == Kind::flag) {
    app.add_flag(entry.word.names, *collected.seen);
    return collected;
  }
  if (entry.kind == Kind::flag_or_value) {
    app.add_flag(entry.word.names + "{" + entry.otherwise + "}", *collected.values);
    return collected;
  }
  if (entry.kind == Kind::positional && (entry.count == Count::one || entry.count == Count::optional)) {
    const auto keep = [values = collected.values](const std::string& value) { values->push_back(value); };
    app.add_option_function<std::string>(entry.word.names, keep)->required(entry.count == Count::one);
    return collected;
  }
  CLI::Option* option = app.add_option(entry.word.names, *collected.values);
  // "--disk vda vdb" would eat the words that follow, so one value an option.
  if (entry.kind != Kind::positional) option->allow_extra_args(false);
  if (entry.kind == Kind::positional) option->required(entry.count == Count::at_least_one);
  if (entry.kind == Kind::option) option->expected(1)->take_last();
  return collected;
}

std::vector<Collected> add_words(CLI::App& app, const WordList& words) {
  std::vector<Collected> collected;
  for (const WordList::Entry& entry : words.entries()) collected.push_back(add_word(app, entry));
  return collected;
}

void set_words(const std::vector<Collected>& collected) {
  for (const Collected& word : collected) {
    if (word.entry->set_flag && *word.seen > 0) word.entry->set_flag(*word.seen);
    for (const std::string& value : *word.values) {
      base::with_context([&] { word.entry->set(value); }, "{}", word.entry->word.names);
    }
  }
}

// "policy check" is `check` below `policy`.
CLI::App* add_app(CLI::App& root, const std::string& name) {
  const auto space = name.find(' ');
  if (space == std::string::npos) return root.add_subcommand(name)->fallthrough()->allow_extras();
  const std::string group = name.substr(0, space);
  const auto groups = root.get_subcommands([&](CLI::App* app) { return app->get_name() == group; });
  CLI::App* parent = groups.empty() ? root.add_subcommand(group)->fallthrough()->allow_extras() : groups.front();
  return parent->add_subcommand(name.substr(space + 1))->fallthrough()->allow_extras();
}

// All long and short names the user could have meant: "--repository", "-r".
std::vector<std::string> option_names(const WordList& words) {
  std::vector<std::string> names;
  for (const WordList::Entry& entry : words.entries()) {
    std::string_view rest = entry.word.names;
    while (!rest.empty()) {
      const std::string_view name = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(name.size() + 1, rest.size()));
      if (name.starts_with('-')) names.emplace_back(name);
    }
  }
  return names;
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& known) {
  const std::string near = base::nearest_name(word, known);
  return near.empty() ? "" : fmt::format("; did you mean '{}'?", near);
}

[[noreturn]] void fail_usage(std::string message, const std::string& command) {
  throw base::Error(Fault::usage, std::move(message))
      .add_hint(command.empty() ? "icecore --help" : fmt::format("icecore {} --help", command));
}

struct Line {
  CLI::App root;
  std::vector<CLI::App*> apps;
  std::vector<std::vector<Collected>> collected;  // by command
  std::vector<Collected> common;
};

[[noreturn]] void refuse_leftover(const std::string& word, const std::string& command,
                                  std::vector<std::string> known_options) {
  if (word.starts_with('-')) {
    fail_usage(fmt::format("unknown option '{}'{}", word, did_you_mean(word, known_options)), command);
  }
  fail_usage(fmt::format("'{}' is one argument too many", word), command);
}

[[noreturn]] void refuse_command(const std::string& word, const std::vector<ParsableCommand>& commands) {
  std::vector<std::string> names;
  for (const ParsableCommand& command : commands) names.push_back(command.name);
  fail_usage(fmt::format("unknown command '{}'{}", word, did_you_mean(word, names)), "");
}

void build(Line& line, const WordList& common, const std::vector<ParsableCommand>& commands) {
  line.root.set_help_flag();
  line.root.allow_extras();
  line.common = add_words(line.root, common);
  for (const ParsableCommand& command : commands) {
    CLI::App* app = add_app(line.root, command.name);
    app->set_help_flag();
    line.apps.push_back(app);
    line.collected.push_back(add_words(*app, *command.words));
  }
}

// The deepest command on the line, or none.
std::optional<std::size_t> chosen(const Line& line) {
  std::optional<std::size_t> index;
  for (std::size_t i = 0; i < line.apps.size(); ++i) {
    if (line.apps[i]->parsed()) index = i;
  }
  return index;
}

// "policy" when the line stops there: the first half of a nested command.
std::string group_of(const Line& line) {
  const std::vector<CLI::App*> parsed = line.root.get_subcommands();
  return parsed.empty() ? "" : parsed.front()->get_name();
}

void parse(Line& line, const std::vector<std::string>& arguments, const std::vector<ParsableCommand>& commands) {
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants them
  try {
    line.root.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    const auto index = chosen(line);
    fail_usage(error.what(), index ? commands[*index].name : "");
  }
}

}  // namespace

std::optional<std::size_t> parse_command_line(const std::vector<std::string>& arguments, const WordList& common,
                                              const std::vector<ParsableCommand>& commands) {
  Line line;
  build(line, common, commands);
  parse(line, arguments, commands);
  std::vector<std::string> leftover = line.root.remaining(true);
  // CLI11 counts the mark that ends the options as left over.
  if (const auto mark = std::find(leftover.begin(), leftover.end(), "--"); mark != leftover.end()) leftover.erase(mark);
  const auto index = chosen(line);
  const std::string group = index ? "" : group_of(line);
  if (!group.empty()) refuse_command(leftover.empty() ? group : group + " " + leftover.front(), commands);
  if (!leftover.empty()) {
    if (!index && !leftover.front().starts_with('-')) refuse_command(leftover.front(), commands);
    std::vector<std::string> known = option_names(common);
    if (index) {
      for (std::string& name : option_names(*commands[*index].words)) known.push_back(std::move(name));
    }
    refuse_leftover(leftover.front(), index ? commands[*index].name : "", std::move(known));
  }
  set_words(line.common);
  if (index) set_words(line.collected[*index]);
  return index;
}

}  // namespace icecore::cli
