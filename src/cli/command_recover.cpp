// SPDX-License-Identifier: Apache-2.0
// `icecore recover [DOMAIN]`.
#include <fmt/core.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/handle.hpp"
#include "cli/commands.hpp"
#include "cli/job_session.hpp"
#include "cli/point_output.hpp"
#include "cli/upload_session.hpp"
#include "job/recover.hpp"

namespace icecore::cli {

namespace {

constexpr base::Milliseconds k_upload_patience = std::chrono::seconds(10);

struct RecoverCommandOptions {
  job::RecoverOptions recover;
};

void declare(WordList& words, RecoverCommandOptions& options) {
  words.positional("DOMAIN", "only this domain's jobs, by name or UUID", Count::optional,
                   WordList::into(options.recover.domain));
  words.flag("--merge-layers",
             "also merge the layers that backups of DOMAIN with --change-map=layer keep, for good: its disks are then "
             "on their own images again",
             options.recover.merge_layers);
  words.flag("--close",
             "end DOMAIN's interrupted jobs and leave its disks as they are: for when they were put in order by hand, "
             "or are gone for good",
             options.recover.close);
  words.flag("--dry-run", "only look, and tell what would be done", options.recover.dry_run);
}

// Opens what can be opened; a repository whose key is not here must not keep a guest on its overlay.
job::OpenRepository repository_opener(JobSession& jobs) {
  return [&jobs](const std::string& url, const std::string& staging) -> std::shared_ptr<repository::Repository> {
    Session session = jobs.session();
    if (!staging.empty()) session.options.staging_dir = staging;
    try {
      jobs.progress().clear();
      const auto open = std::make_shared<OpenRepository>(
          open_repository(session, url, credential_sources(session, jobs.stop()), jobs.stop()));
      return {open, open->repository.get()};
    } catch (const base::Error& error) {
      if (error.fault() == base::Fault::cancelled) throw;
      jobs.progress().note("icecore", fmt::format("repository '{}' cannot be opened: {}", url, error.what()));
      return nullptr;
    }
  };
}

std::string title_of(const job::RecoveredJob& job) {
  if (job.of_layers) return fmt::format("{}: its kept layers", job.domain_name);
  return job.job_id.empty() ? fmt::format("{}: an overlay no journal knows", job.domain_name)
                            : fmt::format("{}: job {}", job.domain_name, short_id(job.job_id));
}

const char* outcome_of(const job::RecoveredJob& job, bool dry_run) {
  if (job.at_work) return ", at work now";
  if (dry_run) return ", would be done:";
  if (job.of_layers && job.finished) return ", ended:";
  return job.finished ? ", recovered:" : ", not finished:";
}

void print_report(Console& console, const job::RecoverReport& report, bool dry_run) {
  if (report.jobs.empty()) console.print("nothing to recover: no job was interrupted");
  for (const job::RecoveredJob& job : report.jobs) {
    console.print(title_of(job) + outcome_of(job, dry_run));
    for (const std::string& action : job.actions) console.print("  " + action);
    if (!job.problem.empty()) console.err << fmt::format("icecore: {}: {}\n", job.domain_name, job.problem);
  }
}

base::Json record_of(const job::RecoverReport& report, bool dry_run) {
  base::Json jobs = base::Json::array();
  for (const job::RecoveredJob& job : report.jobs) {
    jobs.push_back({{"id", job.job_id},
                    {"domain", job.domain_name},
                    {"actions", job.actions},
                    {"finished", job.finished},
                    {"problem", job.problem}});
  }
  return {{"jobs", jobs}, {"dry_run", dry_run}};
}

ExitCode run(Session& session, const RecoverCommandOptions& options) {
  if (options.recover.merge_layers && !options.recover.domain)
    base::fail(base::Fault::usage, "--merge-layers needs the domain whose layers are to end");
  if (options.recover.close && (!options.recover.domain || options.recover.merge_layers))
    base::fail(base::Fault::usage, "--close needs the domain whose jobs are to end, and merges nothing");
  JobSession jobs(session);
  const job::RecoverReport report = [&] {
    const base::ScopeExit clear([&] { jobs.progress().clear(); });
    return job::recover(jobs.context(), options.recover, repository_opener(jobs));
  }();
  // What is left of them is their upload; a remote that does not answer now is `icecore upload`'s.
  if (!options.recover.dry_run) drain_spools(jobs, {.stall_max = k_upload_patience});
  if (session.options.json) {
    session.console.print_json(record_of(report, options.recover.dry_run));
  } else {
    print_report(session.console, report, options.recover.dry_run);
  }
  const bool all_well = std::all_of(report.jobs.begin(), report.jobs.end(),
                                    [](const job::RecoveredJob& job) { return job.finished && job.problem.empty(); });
  return all_well || options.recover.dry_run ? ExitCode::ok : ExitCode::partial;
}

}  // namespace

Command make_recover_command() {
  return make_command<RecoverCommandOptions>(
      {.name = "recover",
       .summary = "Put back what an interrupted job left",
       .description =
           "Compares the journal with libvirt and the disks, then thaws guests, merges overlays down (running or shut "
           "off), removes half-made restores and publishes restore points that were complete but for that, uploading "
           "what waits in staging if the remote answers. It touches "
           "only what icecore's journal or overlay names own, and runs by itself before each backup of a domain and "
           "each restore of it. "
           "Layers that "
           "are kept between backups are no leftovers: they stay, but for --merge-layers. Exit "
           "code 3 when something could not be finished, or a restore point not be published because its blocks are "
           "gone.",
       .examples = {{"sudo icecore recover --dry-run", "tells what would be done"},
                    {"sudo icecore recover", "does it, for all domains"},
                    {"sudo icecore recover web1", "for one"},
                    {"sudo icecore recover web1 --merge-layers", "and puts its disks back on their own images"},
                    {"sudo icecore recover web1 --close", "web1 was deleted, disks and all"}},
       .json = {{"jobs[].id", "of the job; empty for an overlay no journal knows, and for layers that end"},
                {"jobs[].domain", "its name"},
                {"jobs[].actions[]", "what was done, or would be"},
                {"jobs[].finished", "true when nothing of the job is left"},
                {"jobs[].problem",
                 "why it is not finished, or that its restore point cannot be published; and what to do"},
                {"dry_run", "true or false"}}},
      declare, run);
}

}  // namespace icecore::cli
