// SPDX-License-Identifier: Apache-2.0
#include "cli/backup_batch.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/bytes.hpp"
#include "base/shell_word.hpp"
#include "cli/point_output.hpp"
#include "cli/program.hpp"
#include "job/group_backup.hpp"

namespace icecore::cli {

namespace {

DomainOutcome back_up(JobSession& jobs, repository::Repository& repository, const std::string& domain,
                      const job::BackupOptions& options) {
  DomainOutcome outcome{domain, {}, {}};
  try {
    outcome.report = job::run_backup(jobs.context(), repository, domain, options);
  } catch (const base::Error& error) {
    outcome.error = error;
  } catch (const std::exception& error) {
    outcome.error = base::Error(base::Fault::internal, error.what());
  }
  return outcome;
}

DomainOutcome not_begun(const std::string& domain) {
  base::Error error(base::Fault::cancelled, fmt::format("the backup of '{}' was not begun: interrupted", domain));
  return {domain, {}, error.add_hint("icecore backup " + base::shell_operand(domain))};
}

void tell(JobSession& jobs, const DomainOutcome& outcome) {
  Console& console = jobs.session().console;
  jobs.progress().print_apart([&] {
    if (outcome.error) print_error(console, *outcome.error);
    if (!outcome.report || jobs.session().options.json) return;
    console.print(format_report(*outcome.report));
    console.out.flush();
  });
}

void wait_for_upload(JobSession& jobs, UploadSession& upload, DomainOutcome& outcome) {
  const repository::Manifest& point = outcome.report->manifest;
  try {
    upload.wait_for(point);
    outcome.report->pending = false;
    jobs.progress().print_apart([&] {
      if (!jobs.session().options.json)
        jobs.session().console.print(fmt::format("{}: {} is published", point.domain_name, short_id(point.id)));
    });
  } catch (const base::Error& error) {
    jobs.progress().print_apart([&] { print_error(jobs.session().console, error); });
    outcome.error = error;
    if (!upload.is_waiting(point)) outcome.report.reset();
  }
}

void wait_for_uploads(JobSession& jobs, UploadSession* upload, std::vector<DomainOutcome>& outcomes) {
  for (DomainOutcome& outcome : outcomes) {
    if (upload != nullptr && outcome.report && outcome.report->pending) wait_for_upload(jobs, *upload, outcome);
  }
}

}  // namespace

void fill_from_environment(job::BackupOptions& options, const Environment& environment) {
  if (options.device_overlay_folder.empty())
    options.device_overlay_folder = environment("ICECORE_DEVICE_OVERLAY_DIR").value_or("");
}

void require_sound_memory(const job::BackupOptions& options) {
  if ((options.pause || options.live) && options.full_state == job::FullState::off)
    base::fail(base::Fault::usage, "--pause and --live go with --full-state");
  if (options.pause && options.live) base::fail(base::Fault::usage, "--pause and --live exclude each other");
}

std::vector<DomainOutcome> back_up_domains(JobSession& jobs, repository::Repository& repository,
                                           const std::vector<std::string>& domains, const job::BackupOptions& wanted,
                                           UploadSession* upload) {
  job::BackupOptions options = wanted;
  fill_from_environment(options, jobs.session().environment);
  std::vector<DomainOutcome> outcomes;
  for (const std::string& domain : domains) {
    outcomes.push_back(jobs.stop().stop_requested() ? not_begun(domain) : back_up(jobs, repository, domain, options));
    tell(jobs, outcomes.back());
  }
  wait_for_uploads(jobs, upload, outcomes);
  return outcomes;
}

std::vector<DomainOutcome> back_up_group(JobSession& jobs, repository::Repository& repository,
                                         const std::vector<std::string>& domains, const job::BackupOptions& wanted,
                                         UploadSession* upload) {
  job::BackupOptions options = wanted;
  fill_from_environment(options, jobs.session().environment);
  std::vector<DomainOutcome> outcomes;
  for (job::GroupMemberReport& member : job::run_group_backup(jobs.context(), repository, domains, options)) {
    outcomes.push_back({member.domain, std::move(member.report), std::move(member.error)});
    tell(jobs, outcomes.back());
  }
  wait_for_uploads(jobs, upload, outcomes);
  return outcomes;
}

ExitCode exit_code_of(const std::vector<DomainOutcome>& outcomes) {
  const auto failed = [](const DomainOutcome& outcome) { return outcome.error.has_value(); };
  const auto cancelled = [](const DomainOutcome& outcome) {
    return outcome.error && outcome.error->fault() == base::Fault::cancelled;
  };
  if (std::any_of(outcomes.begin(), outcomes.end(), cancelled)) return ExitCode::cancelled;
  if (std::none_of(outcomes.begin(), outcomes.end(), failed)) return ExitCode::ok;
  return outcomes.size() == 1 ? exit_code_of(outcomes.front().error->fault()) : ExitCode::partial;
}

std::string format_report(const job::BackupReport& report) {
  const repository::Manifest& point = report.manifest;
  const std::string frozen = point.freeze_ms > 0 ? fmt::format(", guest frozen {} ms", point.freeze_ms) : "";
  const std::string group = point.group ? fmt::format(", with {} others within {} ms", point.group->members.size() - 1,
                                                      point.group->spread_ms)
                                        : "";
  return fmt::format("{}: {}, {} consistent, read {}, new {}, stored {}{}{}, took {:.1f} s", point.domain_name,
                     short_id(point.id), to_string(point.consistency), base::format_size(point.bytes_read),
                     base::format_size(point.bytes_new), base::format_size(point.bytes_stored), frozen, group,
                     static_cast<double>(point.duration_ms) / 1000) +
         (report.pending ? ", pending upload" : "");
}

base::Json outcomes_record(const std::vector<DomainOutcome>& outcomes) {
  base::Json results = base::Json::array();
  for (const DomainOutcome& outcome : outcomes) {
    base::Json result = {{"domain", outcome.domain}, {"ok", !outcome.error.has_value()}};
    if (outcome.report) result["point"] = point_record(outcome.report->manifest);
    if (outcome.report) result["pending"] = outcome.report->pending;
    if (outcome.report) result["notes"] = outcome.report->notes;
    if (outcome.error) result["error"] = error_record(*outcome.error);
    results.push_back(std::move(result));
  }
  return {{"results", results}, {"exit_code", static_cast<int>(exit_code_of(outcomes))}};
}

std::vector<JsonField> outcome_fields() {
  return {{"results[]", "a domain each, in the order they ran"},
          {"results[].domain, ok", "its name; true when it was backed up"},
          {"results[].point",
           "the new restore point, also one that still waits for its upload, as `icecore show --json` prints it but "
           "for the XML"},
          {"results[].pending", "true: complete in staging and not yet on the remote"},
          {"results[].notes[]", "what a person should know, such as skipped disks"},
          {"results[].error", "when not ok: fault, message, hint"},
          {"exit_code", "as the process returns it"}};
}

}  // namespace icecore::cli
