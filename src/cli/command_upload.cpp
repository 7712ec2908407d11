// SPDX-License-Identifier: Apache-2.0
// `icecore upload`.
#include <fmt/core.h>

#include "base/bytes.hpp"
#include "cli/commands.hpp"
#include "cli/program.hpp"
#include "cli/upload_session.hpp"

namespace icecore::cli {

namespace {

constexpr int k_retry_seconds_max = 1'000'000;

struct UploadCommandOptions {
  staging::UploadOptions upload;
  int retry_seconds = 0;
  bool drop_refused = false;
};

void declare(WordList& words, UploadCommandOptions& options) {
  declare_upload_words(words, options.upload);
  words.option("--retry-for", "SECONDS", "give up after so long without any progress; default: never",
               WordList::whole_number(options.retry_seconds, 1, k_retry_seconds_max));
  words.flag("--drop-refused", "at last remove the points that cannot be published from staging", options.drop_refused);
}

base::Json record_of(const std::vector<staging::RefusedPoint>& points) {
  base::Json refused = base::Json::array();
  for (const auto& point : points) refused.push_back({{"object", point.manifest}, {"reason", point.reason}});
  return refused;
}

base::Json record_of(const SpoolOutcome& outcome) {
  base::Json record = {{"repository", outcome.place.url},
                       {"objects", outcome.report.objects},
                       {"bytes", outcome.report.bytes},
                       {"published", outcome.report.published},
                       {"refused", record_of(outcome.report.refused)}};
  if (outcome.error) record["error"] = error_record(*outcome.error);
  return record;
}

void print_outcome(Console& console, const SpoolOutcome& outcome) {
  for (const auto& point : outcome.report.refused)
    console.err << fmt::format("icecore: '{}' was not published: {}\n", point.manifest, point.reason);
  if (outcome.error) return;
  console.print(fmt::format("{}: {} in {} objects uploaded, {} restore points published", outcome.place.url,
                            base::format_size(outcome.report.bytes), outcome.report.objects,
                            outcome.report.published.size()));
}

ExitCode run(Session& session, const UploadCommandOptions& options) {
  JobSession jobs(session);
  staging::UploadOptions upload = options.upload;
  upload.stall_max = std::chrono::seconds(options.retry_seconds);
  const std::vector<SpoolOutcome> outcomes = drain_spools(jobs, upload);
  const ExitCode code = exit_code_of(outcomes);
  std::vector<staging::RefusedPoint> dropped;
  if (options.drop_refused) dropped = drop_refused(session);
  if (session.options.json) {
    base::Json results = base::Json::array();
    for (const SpoolOutcome& outcome : outcomes) results.push_back(record_of(outcome));
    session.console.print_json(
        {{"results", results}, {"dropped", record_of(dropped)}, {"exit_code", static_cast<int>(code)}});
  } else {
    for (const SpoolOutcome& outcome : outcomes) print_outcome(session.console, outcome);
    for (const auto& point : dropped) session.console.print(fmt::format("'{}' is dropped", point.manifest));
    if (outcomes.empty()) session.console.print("nothing waits for its upload");
  }
  return code;
}

}  // namespace

Command make_upload_command() {
  return make_command<UploadCommandOptions>(
      {.name = "upload",
       .summary = "Upload what backups left in staging",
       .description =
           "Brings everything that waits in the staging folder to the repositories it is for, and publishes the "
           "restore points. No domain and no libvirt is needed. It may be stopped or killed at any time and goes on "
           "where it was; beside another icecore that uploads the same it waits for that one. A remote that does not "
           "answer, is full or refuses is tried again, until it works or --retry-for is over.",
       .examples = {{"sudo icecore upload --key-file /etc/icecore/repository.key", "everything that waits"},
                    {"sudo icecore upload --limit-upload 10M,08:00-18:00=2M", "slower, and slower still by day"},
                    {"sudo icecore upload --retry-for 600 --json",
                     "for a timer: exit code 6 while the remote is away"}},
       .json = {{"results[]", "one for each repository that had something waiting"},
                {"results[].repository", "its URL"},
                {"results[].objects, bytes", "uploaded"},
                {"results[].published[]", "restore points, as object names"},
                {"results[].refused[]", "points that cannot be published: object, reason"},
                {"results[].error", "when it did not end well: fault, message, hint"},
                {"dropped[]", "points that --drop-refused removed: object, reason"},
                {"exit_code", "as icecore ends"}}},
      declare, run);
}

}  // namespace icecore::cli
