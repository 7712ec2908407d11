// SPDX-License-Identifier: Apache-2.0
#include "cli/upload_session.hpp"

#include <algorithm>

#include "base/id.hpp"
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

// One spool and how far it is.
struct Draining {
  SpoolOutcome outcome;
  base::Stopwatch since_progress;
  bool begun = false;
  bool ended = false;
  std::string told;  // the last error
};

void add(staging::UploadReport& sum, staging::UploadReport more) {
  sum.objects += more.objects;
  sum.bytes += more.bytes;
  std::move(more.published.begin(), more.published.end(), std::back_inserter(sum.published));
  std::move(more.refused.begin(), more.refused.end(), std::back_inserter(sum.refused));
}

void drain(JobSession& jobs, Draining& spool, const staging::UploadOptions& options) {
  const staging::SpoolPlace& place = spool.outcome.place;
  Session session = jobs.session();
  session.options.staging_dir = place.folder.parent_path();
  OpenRepository open = open_repository(session, place.url, credential_sources(session, jobs.stop()), jobs.stop());
  jobs.progress().phase(place.url, "upload");
  staging::Uploader uploader(*staging::spooled(*open.storage), *open.repository, options, shown_by(jobs), jobs.stop());
  const base::ScopeExit count([&] {
    staging::UploadReport report = uploader.report();
    if (report.objects > 0) spool.since_progress = {};
    add(spool.outcome.report, std::move(report));
  });
  uploader.finish();
}

// Its turn: until it is empty, fails for good, or the others' turn comes; they have none when `turn` has no end.
void take_turn(JobSession& jobs, Draining& spool, staging::UploadOptions options,
               std::optional<base::Milliseconds> turn) {
  const base::Milliseconds stall_max = options.stall_max;
  const auto left = [&] { return stall_max - std::min(stall_max, spool.since_progress.elapsed()); };
  if (turn) options.stall_max = *turn;
  if (stall_max.count() > 0) options.stall_max = std::max(base::Milliseconds(1), std::min(left(), options.stall_max));
  spool.begun = spool.ended = true;
  try {
    drain(jobs, spool, options);
    spool.outcome.error.reset();
  } catch (const base::Error& error) {
    spool.outcome.error = error;
    spool.outcome.error->add_context("upload to " + spool.outcome.place.url);
    const bool may_help = storage::remedy_of(error.fault()) != storage::Remedy::none;
    spool.ended = !may_help || (stall_max.count() > 0 && left().count() == 0);
  }
}

void tell_error(JobSession& jobs, Draining& spool) {
  if (!spool.outcome.error || spool.told == spool.outcome.error->what()) return;
  spool.told = spool.outcome.error->what();
  jobs.progress().print_apart([&] { print_error(jobs.session().console, *spool.outcome.error); });
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
    : jobs_(jobs), storage_(staging::spooled(*open.storage)) {
  if (storage_ == nullptr) return;
  uploader_ = std::make_unique<staging::Uploader>(*storage_, *open.repository, options, shown_by(jobs), jobs.stop());
}

bool UploadSession::is_waiting(const repository::Manifest& point) const {
  return storage_ != nullptr && staging::is_pending(storage_->spool(), repository::manifest_object(point));
}

void UploadSession::wait_for(const repository::Manifest& point) {
  jobs_.progress().phase(point.domain_name, "upload");
  try {
    uploader_->wait_for(repository::manifest_object(point));
  } catch (base::Error& error) {
    const std::string id = base::short_id(point.id);
    if (!is_waiting(point)) {
      error.add_context(fmt::format("restore point {} of '{}' cannot be published", id, point.domain_name));
      throw error.add_hint("run the backup again");
    }
    error.add_context(
        fmt::format("restore point {} of '{}' is complete in staging and waits for its upload", id, point.domain_name));
    throw error.add_hint("icecore upload");
  }
}

std::vector<SpoolOutcome> drain_spools(JobSession& jobs, const staging::UploadOptions& options,
                                       base::Milliseconds turn) {
  std::vector<Draining> spools;
  for (const staging::SpoolPlace& place : staging::find_spools(staging_dir(jobs.session()))) {
    if (!staging::Spool(place, 1).queue().queued(1).empty()) spools.push_back({{place, {}, {}}, {}});
  }
  const auto waits = [](const Draining& spool) { return !spool.ended; };
  while (!jobs.stop().stop_requested() && std::any_of(spools.begin(), spools.end(), waits)) {
    for (Draining& spool : spools) {
      if (spool.ended || jobs.stop().stop_requested()) continue;
      const bool alone = std::count_if(spools.begin(), spools.end(), waits) == 1;
      take_turn(jobs, spool, options, alone ? std::nullopt : std::optional(turn));
      jobs.progress().clear();
      tell_error(jobs, spool);
    }
  }
  std::vector<SpoolOutcome> outcomes;
  for (Draining& spool : spools) {
    if (spool.begun) outcomes.push_back(std::move(spool.outcome));
  }
  return outcomes;
}

std::vector<staging::RefusedPoint> drop_refused(const Session& session) {
  std::vector<staging::RefusedPoint> dropped;
  for (const staging::SpoolPlace& place : staging::find_spools(staging_dir(session))) {
    staging::Spool spool(place, 1);
    for (const staging::QueuedObject& object : spool.queue().in_state(staging::ObjectState::refused)) {
      if (object.kind != staging::ObjectClass::manifest) continue;  // the rest goes by itself
      dropped.push_back({object.name, object.note});
      spool.drop(object);
    }
  }
  return dropped;
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
