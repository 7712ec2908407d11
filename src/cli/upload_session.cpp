// SPDX-License-Identifier: Apache-2.0
#include "cli/upload_session.hpp"

#include <algorithm>

#include "cli/program.hpp"

namespace icecore::cli {

namespace {

constexpr int k_keep_local_max = 1000;

staging::OnUploadStatus shown_by(JobSession& jobs) {
  return [&jobs](const staging::UploadStatus& status) {
    jobs.progress().upload(status.bytes_done, status.bytes_total, status.waiting_for);
  };
}

std::string id_of(const std::string& manifest) { return manifest.substr(manifest.rfind('-') + 1); }

SpoolOutcome drain(JobSession& jobs, const staging::SpoolPlace& place, const staging::UploadOptions& options) {
  SpoolOutcome outcome{place, {}, {}};
  try {
    Session session = jobs.session();
    session.options.staging_dir = place.folder.parent_path();
    OpenRepository open = open_repository(session, place.url, credential_sources(session, jobs.stop()), jobs.stop());
    jobs.progress().phase(place.url, "upload");
    staging::Uploader uploader(*staging::spooled(*open.storage), *open.repository, options, shown_by(jobs),
                               jobs.stop());
    outcome.report = uploader.finish();
  } catch (const base::Error& error) {
    outcome.error = error;
    outcome.error->add_context("upload to " + place.url);
  }
  return outcome;
}

}  // namespace

void declare_upload_words(WordList& words, staging::UploadOptions& options) {
  words.option("--limit-upload", "RATE",
               "bytes a second, also by the local time of day: 10M or 10M,08:00-18:00=2M,22:00-06:00=max",
               [&options](const std::string& text) { options.limit = staging::parse_upload_limit(text); });
  words.option("--keep-local", "N",
               "the newest N points of a domain stay whole in staging, to be restored without a network",
               [&options](const std::string& text) {
                 int count = 0;
                 WordList::whole_number(count, 0, k_keep_local_max)(text);
                 options.keep_local = static_cast<unsigned>(count);
               });
}

UploadSession::UploadSession(JobSession& jobs, OpenRepository& open, const staging::UploadOptions& options)
    : jobs_(jobs) {
  staging::SpooledStorage* const storage = staging::spooled(*open.storage);
  if (storage == nullptr) return;
  uploader_ = std::make_unique<staging::Uploader>(*storage, *open.repository, options, shown_by(jobs), jobs.stop());
  jobs_.set_uploader(uploader_.get());
}

std::vector<SpoolOutcome> drain_spools(JobSession& jobs, const staging::UploadOptions& options) {
  std::vector<SpoolOutcome> outcomes;
  for (const staging::SpoolPlace& place : staging::find_spools(staging_dir(jobs.session()))) {
    if (jobs.stop().stop_requested()) break;
    if (staging::Spool(place, 1).queue().queued(1).empty()) continue;
    outcomes.push_back(drain(jobs, place, options));
    jobs.progress().clear();
    if (outcomes.back().error) print_error(jobs.session().console, *outcomes.back().error);
  }
  return outcomes;
}

ExitCode exit_code_of(const std::vector<SpoolOutcome>& outcomes) {
  const auto failed = [](const SpoolOutcome& outcome) { return outcome.error || !outcome.report.refused.empty(); };
  if (std::none_of(outcomes.begin(), outcomes.end(), failed)) return ExitCode::ok;
  if (outcomes.size() > 1) return ExitCode::partial;
  const std::optional<base::Error>& error = outcomes.front().error;
  return error ? exit_code_of(error->fault()) : ExitCode::conflict;
}

std::set<std::string> pending_points(storage::Storage& storage) {
  std::set<std::string> ids;
  staging::SpooledStorage* const spooled = staging::spooled(storage);
  if (spooled == nullptr) return ids;
  for (const auto& object : spooled->spool().queue().in_state(staging::ObjectState::queued)) {
    if (object.kind == staging::ObjectClass::manifest) ids.insert(id_of(object.name));
  }
  return ids;
}

}  // namespace icecore::cli
