// SPDX-License-Identifier: Apache-2.0
// `icecore policy check FILE`.
#include <fmt/core.h>

#include "cli/commands.hpp"
#include "policy/policy_file.hpp"

namespace icecore::cli {

namespace {

struct PolicyCheckOptions {
  std::filesystem::path file;
};

void declare(WordList& words, PolicyCheckOptions& options) {
  words.positional("FILE", "the policy file", Count::one, WordList::into(options.file));
}

base::Json record_of(const std::filesystem::path& file, const policy::CheckedPolicy& checked) {
  base::Json problems = base::Json::array();
  for (const policy::Problem& problem : checked.problems) {
    problems.push_back({{"line", problem.line}, {"text", problem.text}});
  }
  return {{"file", file.string()},
          {"valid", checked.policy.has_value()},
          {"policy", checked.policy ? checked.policy->name : ""},
          {"problems", problems}};
}

ExitCode run(Session& session, const PolicyCheckOptions& options) {
  const policy::CheckedPolicy checked = policy::check_policy_file(options.file);
  for (const policy::Problem& problem : checked.problems) {
    session.console.err << fmt::format("{}:{}: {}\n", options.file.string(), problem.line, problem.text);
  }
  if (session.options.json) {
    session.console.print_json(record_of(options.file, checked));
  } else if (checked.policy) {
    session.console.print(fmt::format("{}: policy '{}' is valid", options.file.string(), checked.policy->name));
  }
  return checked.policy ? ExitCode::ok : ExitCode::usage;
}

}  // namespace

Command make_policy_check_command() {
  return make_command<PolicyCheckOptions>(
      {.name = "policy check",
       .summary = "Validate a policy file",
       .description = "Reads a policy file and prints every problem with its line. Nothing else is looked at: not "
                      "the domains, not the repository.",
       .examples = {{"icecore policy check /etc/icecore/web-servers.xml", "says 'is valid', or what is not and where"}},
       .json = {{"file", "as named"},
                {"valid", "true or false"},
                {"policy", "its name; empty when not valid"},
                {"problems[].line", "1 is the first; 0: the file as a whole"},
                {"problems[].text", "what is wrong"}}},
      declare, run);
}

}  // namespace icecore::cli
