// SPDX-License-Identifier: Apache-2.0
// `icecore run POLICY-FILE`: backs up the domains a policy matches.
#include <fmt/core.h>

#include "base/error.hpp"
#include "base/shell_word.hpp"
#include "cli/backup_batch.hpp"
#include "cli/commands.hpp"
#include "cli/policy_repository.hpp"
#include "cli/upload_session.hpp"
#include "hypervisor/connection.hpp"
#include "hypervisor/domain.hpp"
#include "policy/policy_file.hpp"

namespace icecore::cli {

namespace {

struct RunOptions {
  std::filesystem::path file;
  bool dry_run = false;
};

void declare(WordList& words, RunOptions& options) {
  words.positional("POLICY-FILE", "an XML file, see `icecore policy check`", Count::one, WordList::into(options.file));
  words.flag("--dry-run", "only tell which domains it matches now", options.dry_run);
}

std::vector<std::string> domain_names(const std::string& connect_uri) {
  hypervisor::Connection connection(connect_uri);
  std::vector<std::string> names;
  for (const hypervisor::DomainSummary& domain : connection.domains()) names.push_back(domain.name);
  return names;
}

policy::Match match_domains(Session& session, const policy::Policy& policy) {
  policy::Match match = policy::matches(policy, domain_names(session.options.connect_uri));
  for (const std::string& glob : match.unused_include) {
    if (session.options.quiet) break;
    session.console.err << fmt::format("icecore: policy '{}': no domain fits '{}'\n", policy.name, glob);
  }
  if (match.domains.empty()) {
    throw base::Error(base::Fault::not_found, fmt::format("policy '{}' matches no domain", policy.name))
        .add_hint(fmt::format("virsh -c {} list --all", base::shell_word(session.options.connect_uri)));
  }
  return match;
}

ExitCode tell_matches(Session& session, const policy::Policy& policy, const policy::Match& match) {
  if (session.options.json) {
    session.console.print_json({{"policy", policy.name}, {"dry_run", true}, {"domains", match.domains}});
  } else {
    for (const std::string& domain : match.domains) session.console.print(domain);
  }
  return ExitCode::ok;
}

ExitCode run(Session& session, const RunOptions& options) {
  JobSession jobs(session);
  const policy::Policy policy = policy::load_policy(options.file);
  const policy::Match match = match_domains(session, policy);
  if (options.dry_run) return tell_matches(session, policy, match);
  OpenRepository open = open_policy_repository(session, policy, jobs.stop());
  std::optional<UploadSession> upload;
  if (policy.wait_for_upload) upload.emplace(jobs, open, policy.upload);
  const bool group = policy.domains.group && match.domains.size() > 1;
  const std::vector<DomainOutcome> outcomes = (group ? back_up_group : back_up_domains)(
      jobs, *open.repository, match.domains, policy.backup, upload ? &*upload : nullptr);
  if (session.options.json) {
    base::Json record = outcomes_record(outcomes);
    record["policy"] = policy.name;
    record["dry_run"] = false;
    record["domains"] = match.domains;
    session.console.print_json(record);
  }
  return exit_code_of(outcomes);
}

std::vector<JsonField> json_fields() {
  std::vector<JsonField> fields = {{"policy", "its name"},
                                   {"dry_run", "true: nothing was backed up, and there are no results"},
                                   {"domains[]", "the domains it matches"}};
  for (JsonField& field : outcome_fields()) fields.push_back(std::move(field));
  return fields;
}

}  // namespace

Command make_run_command() {
  return make_command<RunOptions>(
      {.name = "run",
       .summary = "Back up the domains a policy file matches",
       .description = "Reads a policy file and backs up every domain it matches, one after another, as `icecore "
                      "backup` would with the policy's settings. The policy names the repository; -r is not looked "
                      "at. A domain that fails does not stop the others, unless they are a group.",
       .examples = {{"sudo icecore run /etc/icecore/web-servers.xml", "all web servers"},
                    {"sudo icecore run /etc/icecore/web-servers.xml --dry-run", "only names them"}},
       .json = json_fields()},
      declare, run);
}

}  // namespace icecore::cli
