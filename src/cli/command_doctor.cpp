// SPDX-License-Identifier: Apache-2.0
// `icecore doctor`.
#include <fmt/core.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/shell_word.hpp"
#include "cli/commands.hpp"
#include "cli/job_session.hpp"
#include "job/doctor.hpp"
#include "job/staging_check.hpp"

namespace icecore::cli {

namespace {

struct DoctorOptions {};

const char* word_for(job::Severity severity) {
  switch (severity) {
    case job::Severity::good: return "good";
    case job::Severity::advice: return "advice";
    case job::Severity::problem: return "problem";
  }
  return "problem";
}

// The repository is looked at when one is named; failing to open it is a finding like any other.
OpenRepository try_open(JobSession& jobs, std::vector<job::Finding>& findings) {
  if (jobs.session().options.repository_url.empty()) return {};
  try {
    return open_repository(jobs.session(), jobs.stop(), repository::Remember::no);  // doctor leaves nothing
  } catch (const base::Error& error) {
    findings.push_back({job::Severity::problem, "repository", error.what(), error.hint()});
    return {};
  }
}

std::vector<job::Finding> diagnose(JobSession& jobs) {
  std::vector<job::Finding> failures;
  const OpenRepository open = try_open(jobs, failures);
  std::vector<job::Finding> findings =
      job::diagnose(jobs.context(), open.repository.get(), known_repositories(jobs.session()).ids());
  const SessionOptions& options = jobs.session().options;
  const std::string upload = options.staging_dir.empty()
                                 ? "icecore upload"
                                 : "icecore upload --staging-dir " + base::shell_word(options.staging_dir.string());
  for (job::Finding& finding : job::diagnose_staging(staging_dir(jobs.session()), upload, base::now())) {
    findings.push_back(std::move(finding));
  }
  findings.insert(findings.end(), failures.begin(), failures.end());
  return findings;
}

void print_findings(Console& console, const std::vector<job::Finding>& findings) {
  for (const job::Finding& finding : findings) {
    console.print(fmt::format("{:<8} {}: {}", word_for(finding.severity), finding.subject, finding.text));
    if (!finding.hint.empty()) console.print(fmt::format("{:<8}   try: {}", "", finding.hint));
  }
}

base::Json record_of(const std::vector<job::Finding>& findings) {
  base::Json list = base::Json::array();
  for (const job::Finding& finding : findings) {
    list.push_back({{"severity", word_for(finding.severity)},
                    {"subject", finding.subject},
                    {"text", finding.text},
                    {"hint", finding.hint}});
  }
  return {{"findings", list}};
}

ExitCode run(Session& session, const DoctorOptions&) {
  JobSession jobs(session);
  const std::vector<job::Finding> findings = diagnose(jobs);
  jobs.progress().clear();
  if (session.options.json) {
    session.console.print_json(record_of(findings));
  } else {
    print_findings(session.console, findings);
  }
  const bool healthy = std::none_of(findings.begin(), findings.end(), [](const job::Finding& finding) {
    return finding.severity == job::Severity::problem;
  });
  return healthy ? ExitCode::ok : ExitCode::failure;
}

}  // namespace

Command make_doctor_command() {
  return make_command<DoctorOptions>(
      {.name = "doctor",
       .summary = "Look for what is wrong on this host",
       .description =
           "Looks at the programs icecore needs, libvirt, the journal, domains left on overlays, checkpoints "
           "and bitmaps left behind, restore points that wait in staging and, when one is named, the "
           "repository. Changes nothing. Exit code 1 when there is a problem.",
       .examples = {{"sudo icecore doctor", "this host"},
                    {"sudo icecore doctor -r /var/backups/icecore --key-file /etc/icecore/repository.key",
                     "and a repository"}},
       .json = {{"findings[].severity", "good, advice or problem"},
                {"findings[].subject", "what was looked at"},
                {"findings[].text", "what was found"},
                {"findings[].hint", "what to type next; may be empty"}}},
      [](WordList&, DoctorOptions&) {}, run);
}

}  // namespace icecore::cli
