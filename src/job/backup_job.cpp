// SPDX-License-Identifier: Apache-2.0
#include "job/backup_job.hpp"

#include "base/error.hpp"
#include "base/id.hpp"
#include "base/log.hpp"
#include "base/shell_word.hpp"
#include "job/backup_instant.hpp"
#include "job/base_use.hpp"
#include "job/boot_files.hpp"
#include "job/disk_plan.hpp"
#include "job/encrypted_disk.hpp"
#include "job/kept_layer.hpp"
#include "job/layer_end.hpp"
#include "job/layer_settle.hpp"
#include "job/memory_plan.hpp"
#include "job/overlay_return.hpp"
#include "repository/group.hpp"

namespace icecore::job {

using base::Fault;

namespace {

// While it lives, whoever waits for room in the spool asks `hook` whether to go on.
class WaitHook {
 public:
  WaitHook(staging::SpooledStorage* spooled, std::function<void()> hook) : spooled_(spooled) {
    if (spooled_ != nullptr) spooled_->set_wait_hook(std::move(hook));
  }
  WaitHook(const WaitHook&) = delete;
  WaitHook& operator=(const WaitHook&) = delete;
  ~WaitHook() {
    if (spooled_ != nullptr) spooled_->set_wait_hook({});
  }

 private:
  staging::SpooledStorage* spooled_;  // null: nothing is staged
};

}  // namespace

BackupJob::BackupJob(const JobContext& context, repository::Repository& repository, hypervisor::Domain& domain,
                     const BackupOptions& options)
    : context_(context),
      repository_(repository),
      domain_(domain),
      options_(options),
      spooled_(staging::spooled(repository.storage())),
      steps_(context.state_dir, "backup"),
      notes_(context.progress, domain.name()),
      bitmaps_(domain, notes_) {
  repository_lock_.emplace(repository, "backup of '" + domain.name() + "'",
                           [this] { index_read_ = flow::Ahead<void>([this] { open_writer(); }); });
}

// ---- planned
void BackupJob::plan() {
  phase("prepare");
  name_the_job();
  for (std::string& note : end_layers_before_backup(context_, domain_, options_)) notes_.add(std::move(note));
  running_ = domain_.active();
  prepared_ = prepare_backup(domain_, options_, steps_.record().id);
  tell_homes();
  prepared_.plan.connect_uri = domain_.connection().uri();
  prepared_.plan.repository_url = repository_.storage().url();
  prepared_.plan.repository_id = repository_.config().repository_id;
  if (spooled_ != nullptr) prepared_.plan.staging = spooled_->spool().folder().parent_path();
  if (auto note = plan_memory(domain_, options_, steps_.record().id, prepared_)) notes_.add(std::move(*note));
  // With its memory the guest goes on where it was: nothing has to be quiet.
  prepared_.plan.freezes = options_.quiesce != Quiesce::off && prepared_.plan.memory_file.empty();
  tell_what_is_left_out();
  plan_bitmaps(prepared_, options_, steps_.record().id, running_);
  steps_.record().plan = to_json(prepared_.plan);
  index_read_.get();  // while nothing is frozen and no overlay grows
  steps_.begin();
  bitmaps_.create(prepared_.plan);
}

void BackupJob::name_the_job() {
  JobRecord& record = steps_.record();
  record.id = base::random_id(16);
  record.domain_uuid = domain_.uuid();
  record.domain_name = domain_.name();
  record.created = base::now();
}

// Where the disks on kept layers are at home is for the point, and for the day the layers end.
void BackupJob::tell_homes() {
  for (PlannedDisk& disk : prepared_.plan.disks) {
    name_home(disk, steps_.journal(), domain_.uuid());
    if (auto refused = refuse_strange_home(domain_.connection(), steps_.journal(), domain_.uuid(), disk))
      throw std::move(*refused);
  }
  prepared_.current_xml = without_layers(prepared_.current_xml, steps_.journal());
  if (!prepared_.inactive_xml.empty())
    prepared_.inactive_xml = without_layers(prepared_.inactive_xml, steps_.journal());
}

void BackupJob::tell_what_is_left_out() {
  for (const std::string& note : prepared_.notes) notes_.add(note);
  for (const repository::SkippedDisk& disk : prepared_.skipped)
    notes_.add(fmt::format("disk '{}' is skipped: {}", disk.target, disk.reason));
  for (std::size_t i = 0; i < prepared_.images.size(); ++i) {
    for (const std::string& note : notes_on_image(prepared_.plan.disks[i].target, prepared_.images[i]))
      notes_.add(note);
  }
  for (const PlannedDisk& disk : prepared_.plan.disks) {
    const std::string note = note_on_encryption(*prepared_.model.find_disk(disk.target));
    if (!note.empty()) notes_.add(note);
  }
  for (const std::string& note : firmware_files(prepared_.model, domain_.connection().uri()).notes) notes_.add(note);
}

void BackupJob::open_writer() {
  writer_.emplace(repository_, options_.compression_level == 0 ? repository::k_compression_level_default
                                                               : options_.compression_level);
}

// ---- frozen, snapshotted, thawed
void BackupJob::take_instant(const std::function<void()>& meet) {
  facts_ = job::take_instant(domain_, prepared_, options_, context_, steps_, notes_, meet);
  prepared_.plan.max_downtime = {};  // put back with the memory saved: what is set from now on is its owner's
  note_frozen_bases(prepared_.plan);
  steps_.store_plan(to_json(prepared_.plan));
  reading_.emplace(prepared_, options_, context_, *writer_, notes_);
}

// ---- reading, sealed: from there on only forwards, and Ctrl-C has nothing to cut short any more.
void BackupJob::store(std::function<void()> beside) {
  reading_->look_beside(std::move(beside));
  const WaitHook hook(spooled_, [this] { reading_->keep_within_budget(); });
  read();
  seal();
}

void BackupJob::read() {
  steps_.step(JobState::reading, [&] {
    manifest_ = draft_manifest(steps_.record(), prepared_, options_, facts_, running_);
    manifest_.group = group_;
    reading_->read(manifest_);
    read_files();
  });
}

// What is no disk: copied at the instant, or not changed by the guest.
void BackupJob::read_files() {
  phase("read files");
  const FirmwareFiles firmware = firmware_files(prepared_.model, domain_.connection().uri());
  for (const std::string& note : notes_on(firmware, facts_.firmware, running_)) notes_.add(note);
  const auto add = [&](std::vector<repository::ManifestBlob> blobs) {
    for (repository::ManifestBlob& blob : blobs) manifest_.blobs.push_back(std::move(blob));
  };
  add(store_firmware(*writer_, prepared_.model, facts_.firmware));
  add(store_boot_files(
      *writer_, prepared_.model, notes_, [this] { reading_->keep_within_budget(); }, context_.stop));
}

void BackupJob::seal() {
  steps_.step(JobState::sealed, [&] {
    phase("seal");
    reading_->require_unchanged();
    require_unwritten(domain_.connection(), domain_.uuid(), prepared_.plan, running_);
    stop_here_if_asked(context_, domain_.name());
    complete_manifest(manifest_, writer_->finish(), steps_.record().created);
    prepared_.plan.manifest = base::to_hex(repository::encode_manifest(manifest_));
    steps_.store_plan(to_json(prepared_.plan));
  });
}

// ---- committing, committed
void BackupJob::merge() noexcept {
  try {
    commit();
  } catch (const base::Error& error) {
    merge_failure_ = error;
  } catch (const std::exception& error) {
    merge_failure_ = base::Error(Fault::internal, error.what());
  }
}

// ---- uploading, published, done
BackupReport BackupJob::finish() {
  if (merge_failure_) publish_on_overlays();
  const bool staged = spooled_ != nullptr;
  steps_.step(JobState::uploading, [&] {
    if (staged) publish();
  });
  if (!staged) steps_.step(JobState::published, [&] { publish(); });
  if (!options_.copy) bitmaps_.discard_older(prepared_.plan, reading_->frozen());
  steps_.reach(JobState::done);
  return {.manifest = manifest_, .pending = staged, .notes = notes_.texts()};
}

void BackupJob::publish_on_overlays() {
  merge_failure_->add_context(on_bases_ ? fmt::format("{}, but the job is still open in the journal", publish_anyway())
                                        : fmt::format("{}, but not every overlay of domain '{}' could be merged",
                                                      publish_anyway(), domain_.name()));
  note_error(merge_failure_->what());
  throw merge_failure_->add_hint("icecore recover " + base::shell_operand(domain_.name()));
}

std::string BackupJob::publish_anyway() {
  const std::string point = "restore point " + base::short_id(steps_.record().id);
  try {
    publish();
    prepared_.plan.published = true;
    steps_.store_plan_if_possible(to_json(prepared_.plan));
    return point + " is published";
  } catch (const base::Error& error) {
    return fmt::format("{} is complete, not published ({})", point, error.what());
  }
}

void BackupJob::commit() {
  steps_.step_back(JobState::committing, [] {});
  phase("commit");
  steps_.step_back(JobState::committed, [&] { settle(); });
  steps_.require_told();
}

// The journal keeps what the plan learns on the way back.
StorePlan BackupJob::keep_plan() {
  return [this](const BackupPlan& plan) {
    // Others have an XML that tells, as a transient one has while it lives.
    const bool must_be_told = plan.transient && !all_merged(plan);
    if (must_be_told) return steps_.store_plan(to_json(plan));
    steps_.store_plan_if_possible(to_json(plan));
  };
}

void BackupJob::settle() {
  settle_overlays(domain_.connection(), domain_.uuid(), prepared_.plan, keep_plan(), context_.progress, {});
  on_bases_ = true;
}

void BackupJob::return_to_bases() {
  job::return_to_bases(domain_.connection(), domain_.uuid(), prepared_.plan, keep_plan(), context_.progress, {});
  on_bases_ = true;
}

// What is told anyway must not be lost because the journal cannot be.
void BackupJob::note_error(const std::string& text) {
  try {
    steps_.journal().set_error(steps_.record(), text);
  } catch (const base::Error& error) {
    base::log_warning("the journal was not told of an error: {}", error.what());
  }
}

void BackupJob::publish() {
  phase("publish");
  const WaitHook hook(spooled_, [this] { stop_here_if_asked(context_, domain_.name()); });
  hold_lock();
  repository::publish(repository_, manifest_);
  // Of staged points whoever uploads the last.
  if (spooled_ == nullptr) repository::complete_group(repository_.keys(), repository_.storage(), manifest_);
}

// Somebody may have taken it for left behind. What a prune did since is found out by the look at the blocks.
void BackupJob::hold_lock() {
  try {
    repository_lock_->lock.check();
  } catch (const base::Error& error) {
    if (error.fault() != Fault::conflict) throw;
    base::log_warning("{}; it is taken again", error.what());
    repository_lock_.emplace(repository_, "backup of '" + domain_.name() + "'");
  }
}

// The journal's intent says where it failed.
bool BackupJob::failed_to_save_memory(const base::Error& cause) {
  const bool asked_to_end = cause.fault() == Fault::cancelled || context_.stop.stop_requested();
  return !prepared_.plan.memory_file.empty() && steps_.record().intent == JobState::snapshotted && !asked_to_end;
}

// ---- aborting, failed
void BackupJob::give_up(base::Error& cause) {
  JobRecord& record = steps_.record();
  const bool memory_failed = failed_to_save_memory(cause);
  try {
    steps_.step_back(JobState::aborting, [&] {
      phase("undo");
      return_to_bases();
    });
    bitmaps_.discard_own(prepared_.plan);
    steps_.require_told();
    steps_.journal().set_error(record, cause.what());
    steps_.journal().reach(record, JobState::failed);
    only_memory_failed_ = memory_failed && options_.full_state == FullState::attempt;
  } catch (const std::exception& second) {  // a file system may fail, too
    const char* const outcome = on_bases_ ? "it is back on its bases, but the job is still open in the journal"
                                          : "not every overlay could be merged";
    base::log_warning("domain '{}': {}: {}", domain_.name(), outcome, second.what());
    note_error(fmt::format("{}; undoing it failed: {}", cause.what(), second.what()));
    cause.add_hint("icecore recover " + base::shell_operand(domain_.name()));
  }
}

}  // namespace icecore::job
