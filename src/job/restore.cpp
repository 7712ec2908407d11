// SPDX-License-Identifier: Apache-2.0
#include "job/restore.hpp"

#include <algorithm>
#include <iterator>
#include <memory>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/handle.hpp"
#include "base/id.hpp"
#include "base/log.hpp"
#include "base/shell_word.hpp"
#include "disk/disk_target.hpp"
#include "job/disk_content.hpp"
#include "job/domain_lock.hpp"
#include "job/file_owner.hpp"
#include "job/journal.hpp"
#include "job/layer_end.hpp"
#include "job/recover.hpp"
#include "job/restore_blobs.hpp"
#include "job/restore_checks.hpp"
#include "job/restore_domain.hpp"
#include "job/restore_finish.hpp"
#include "job/restore_image.hpp"
#include "job/restore_memory.hpp"
#include "job/restore_paths.hpp"
#include "job/restore_plan.hpp"
#include "job/restore_report.hpp"
#include "job/restore_room.hpp"
#include "job/restore_verify.hpp"
#include "repository/damage_mark.hpp"
#include "repository/reader_lock.hpp"

namespace icecore::job {

using base::Fault;
using repository::Manifest;
using repository::ManifestDisk;

namespace {

// What only the format it had knows is left at its default in another one.
disk::TargetLayout layout_of(const ManifestDisk& disk, const std::string& format) {
  if (disk.content == repository::DiskContent::file)
    return {.format = content_format(disk, format), .virtual_size = disk.image.disk_size};
  if (format != disk.format) return {.format = format, .virtual_size = disk.virtual_size};
  return {.format = disk.format,
          .virtual_size = disk.virtual_size,
          .cluster_size = disk.cluster_size,
          .compat = disk.compat,
          .extended_l2 = disk.extended_l2};
}

class RestoreJob {
 public:
  RestoreJob(const JobContext& context, repository::Repository& repository, const Manifest& manifest,
             const RestoreOptions& options, hypervisor::Connection* connection, JobRecord record,
             PreparedRestore prepared, std::optional<repository::DamageMark> damage)
      : context_(context),
        repository_(repository),
        manifest_(manifest),
        options_(options),
        connection_(connection),
        repository_lock_(repository, "restore of '" + record.domain_name + "'"),
        journal_(context.state_dir),
        record_(std::move(record)),
        prepared_(std::move(prepared)),
        damage_(std::move(damage)) {}

  RestoreReport run() {
    const base::Stopwatch watch;
    record_.plan = to_json(prepared_.plan);
    journal_.begin(record_);
    base::failpoint("restore.fact.planned");
    try {
      write();
      finish();
    } catch (base::Error& error) {
      give_up(error);
      throw;
    } catch (const std::exception& error) {
      base::Error failure(Fault::internal, error.what());
      give_up(failure);
      throw failure;
    }
    if (not_resumed_) throw base::Error(*not_resumed_);
    if (options_.start && prepared_.plan.memory_file.empty()) start();
    report_.duration = watch.elapsed();
    return std::move(report_);
  }

 private:
  template <typename Act>
  void step(JobState next, Act&& act) {
    const std::string name(to_string(next));
    journal_.intend(record_, next);
    base::failpoint("restore.intent." + name);
    act();
    base::failpoint("restore.acted." + name);
    journal_.reach(record_, next);
    base::failpoint("restore.fact." + name);
  }

  void write() {
    step(JobState::writing, [] {});
    step(JobState::written, [&] {
      repository_.refresh_index();
      // Devices come last: what fails before leaves them as they were.
      write_blobs(repository_, prepared_, damage_ ? &*damage_ : nullptr, context_.stop);
      write_memory();
      for (std::size_t i = 0; i < prepared_.disks.size(); ++i) {
        begin_device(prepared_.plan.files[i]);
        write_disk(i);
      }
      base::failpoint("restore.disks_written");
      if (options_.verify) verify();
      note_written(prepared_.plan);
      record_.plan = to_json(prepared_.plan);
      journal_.update_plan(record_);
    });
  }

  std::vector<repository::BlockRange> lost_blocks(const ManifestDisk& disk) const {
    for (const repository::DamagedDisk& damaged : damage_ ? damage_->disks : std::vector<repository::DamagedDisk>()) {
      if (damaged.disk == disk.target) return damaged.lost;
    }
    return {};
  }

  // The last look before what cannot be undone: a domain may have been started on the device since the plan was made.
  void begin_device(PlannedFile& file) {
    if (!file.device) return;
    require_unused(*connection_, file, replaceable_domain(manifest_, options_));
    file.begun = true;
    record_.plan = to_json(prepared_.plan);
    journal_.update_plan(record_);
    base::failpoint("restore.device_begun");
  }

  void write_disk(std::size_t i) {
    const ManifestDisk& disk = *prepared_.disks[i];
    const PlannedFile& file = prepared_.plan.files[i];
    phase("write " + disk.target);
    base::with_context(
        [&] {
          const disk::TargetLayout layout = layout_of(disk, file.format);
          if (!file.device) disk::create_image(file.work_path, layout);
          const auto target = disk::DiskTarget::open(
              {.image = file.work_path, .layout = layout, .writers = restore_threads(), .device = file.device});
          const std::uint64_t bytes = restore_image(
              repository_, disk.image, lost_blocks(disk), *target,
              [&](std::uint64_t done) {
                repository_lock_.refresh();
                context_.progress.transfer({.bytes_total = prepared_.disk_bytes[i], .bytes_done = done});
              },
              context_.stop);
          target->finish(context_.stop);
          if (file.replaces && std::filesystem::is_regular_file(file.path))
            give_to(owner_of(file.path), file.work_path);
          report_.disks.push_back({.target = disk.target,
                                   .path = file.path,
                                   .format = file.format,
                                   .size = disk.virtual_size,
                                   .bytes_written = bytes});
        },
        "restore disk '{}' to '{}'", disk.target, file.path.string());
  }

  void write_memory() {
    if (prepared_.plan.memory_file.empty()) return;
    phase("write memory");
    job::write_memory(
        repository_, manifest_, prepared_.plan, damage_,
        [&](std::uint64_t done) {
          repository_lock_.refresh();
          context_.progress.transfer({.bytes_total = 0, .bytes_done = done});
        },
        context_.stop);
  }

  // A domain that does not go on is no failed restore: it is there, shut off.
  void resume() {
    if (prepared_.plan.memory_file.empty()) return;
    phase("resume");
    try {
      resume_from_memory(*connection_, prepared_.plan, options_);
    } catch (const base::Error& error) {
      not_resumed_ = error;
    }
    base::failpoint("restore.resumed");
    remove_memory_file(prepared_.plan);
  }

  void verify_disk(std::size_t i) {
    const ManifestDisk& disk = *prepared_.disks[i];
    const PlannedFile& file = prepared_.plan.files[i];
    phase("verify " + disk.target);
    base::with_context(
        [&] {
          verify_image(
              repository_, disk.image, lost_blocks(disk), file.work_path, content_format(disk, file.format),
              [&](std::uint64_t done) {
                repository_lock_.refresh();
                context_.progress.transfer({.bytes_total = prepared_.disk_bytes[i], .bytes_done = done});
              },
              context_.stop);
        },
        "verify disk '{}' in '{}'", disk.target, file.path.string());
    report_.disks[i].verified = true;
  }

  void verify() {
    verify_blobs(repository_, prepared_, damage_ ? &*damage_ : nullptr);
    for (std::size_t i = 0; i < prepared_.disks.size(); ++i) verify_disk(i);
  }

  void finish() {
    phase("define");
    if (prepared_.plan.define_xml.empty()) {
      name_files(connection_, prepared_.plan);
    } else {
      step(JobState::defined, [&] {
        // Asked again: what was free when the plan was made may be somebody's by now, and libvirt would replace it.
        require_place_for_domain(*connection_, manifest_, options_);
        name_files(connection_, prepared_.plan);
        define_domain(*connection_, prepared_.plan);
      });
    }
    refresh_pools(connection_, prepared_.plan);
    resume();
    journal_.reach(record_, JobState::done);
    base::failpoint("restore.fact.done");
  }

  // Some old files are gone, or the domain is there: recover finishes it.
  bool is_past_undoing() const {
    if (record_.state == JobState::defined) return true;
    if (record_.state != JobState::written) return false;
    if (prepared_.plan.replace) return any_named(prepared_.plan);
    return record_.intent == JobState::defined && is_defined(*connection_, prepared_.plan);
  }

  void give_up(base::Error& cause) {
    try {
      if (is_past_undoing()) {
        if (cause.hint().empty()) cause.add_hint("icecore recover " + base::shell_operand(record_.domain_name));
        return journal_.set_error(record_, cause.what());
      }
      for (const PlannedFile& file : prepared_.plan.files) {
        if (file.begun) cause.add_context(tell_device(file));
      }
      // Unnamed files need no intent, and their room may be what the journal lacks.
      if (record_.state != JobState::written) remove_files(prepared_.plan, false);
      step(JobState::aborting, [&] { remove_files(prepared_.plan, record_.state == JobState::written); });
      journal_.set_error(record_, cause.what());
      journal_.reach(record_, JobState::failed);
    } catch (const base::Error& second) {
      base::log_warning("the restore could not be undone: {}; `icecore recover` does that", second.what());
    }
  }

  // A domain that does not start is no failed restore: it is there, and the error says why it does not run.
  void start() {
    phase("start");
    base::with_context([&] { connection_->domain(prepared_.plan.domain_uuid).start(); },
                       "domain '{}' is restored but does not start", prepared_.plan.domain_name);
  }

  void phase(std::string_view name) {
    context_.progress.phase(prepared_.plan.domain_name.empty() ? manifest_.domain_name : prepared_.plan.domain_name,
                            name);
  }

  const JobContext& context_;
  repository::Repository& repository_;
  const Manifest& manifest_;
  const RestoreOptions& options_;
  hypervisor::Connection* connection_;
  repository::ReaderLock repository_lock_;
  Journal journal_;
  JobRecord record_;
  PreparedRestore prepared_;
  std::optional<repository::DamageMark> damage_;
  RestoreReport report_;
  std::optional<base::Error> not_resumed_;
};

// Whether it is done to the point's own domain, or may be: a device that is written over may be one of its disks, which
// then must not be backed up meanwhile.
bool concerns_domain(const RestoreOptions& options) {
  return options.disks_only ? options.overwrite_device : !options.new_name || options.keep_identity;
}

std::string name_for(const Manifest& manifest, const RestoreOptions& options) {
  return options.disks_only ? manifest.domain_name : options.new_name.value_or(manifest.domain_name);
}

// A domain that gives way may be on kept layers, which lie over the images that are about to be replaced: they are
// merged, so that none is left over and the old disks are whole until the new ones are. Under the domain's lock. True
// when there were any.
bool end_layers_of_replaced(const JobContext& context, hypervisor::Connection* connection, const Manifest& manifest,
                            const RestoreOptions& options) {
  if (!options.replace || connection == nullptr || !connection->has_domain(manifest.domain_uuid)) return false;
  hypervisor::Domain domain = connection->domain(manifest.domain_uuid);
  std::vector<std::string> targets;
  for (const LayeredDisk& disk : layered_disks(domain.model())) targets.push_back(disk.target);
  if (targets.empty()) return false;
  context.progress.phase(domain.name(), "merge layers");
  for (const std::string& told : end_layers(context, domain, targets)) context.progress.note(domain.name(), told);
  return true;
}

}  // namespace

RestoreReport run_restore(const JobContext& context, repository::Repository& repository, const Manifest& manifest,
                          const RestoreOptions& options) {
  require_sound_options(options);
  std::optional<repository::DamageMark> damage = accepted_damage(repository, manifest, options);
  std::unique_ptr<hypervisor::Connection> connection;
  if (needs_connection(options)) connection = std::make_unique<hypervisor::Connection>(context.connect_uri);
  JobRecord record;
  record.id = base::random_id(16);
  record.kind = JobKind::restore;
  record.created = base::now();
  record.domain_name = name_for(manifest, options);
  repository.refresh_index();
  std::optional<DomainLock> lock;
  if (concerns_domain(options) && !options.dry_run) {
    record.domain_uuid = manifest.domain_uuid;
    lock.emplace(record.domain_uuid, record.domain_name);
    recover_before_restore(context, *connection, repository, manifest.domain_uuid, manifest.domain_name);
  }
  repository.allow_marked_packs(true);  // not before: a recovery may have published a point
  const base::ScopeExit no_longer([&] { repository.allow_marked_packs(false); });
  const auto prepare = [&] {
    PreparedRestore made = prepare_restore(connection.get(), repository, manifest, options, record.id);
    plan_restored_memory(made, manifest, options, context.state_dir, record.id);
    if (connection) std::ranges::move(memory_findings(*connection, made, manifest), std::back_inserter(made.findings));
    return made;
  };
  PreparedRestore prepared = prepare();
  RestoreReport planned = describe_restore(prepared);
  if (damage)
    std::ranges::move(damage_notes(*damage, repository.config().block_bytes), std::back_inserter(planned.notes));
  if (options.dry_run) return planned;
  if (!options.allow_incompatible) require_compatible(prepared.findings);
  if (end_layers_of_replaced(context, connection.get(), manifest, options)) {
    prepared = prepare();
  }

  if (options.to) base::create_folders(std::filesystem::absolute(*options.to), 0755);
  if (!lock) {  // files without a domain are nobody's
    record.domain_uuid = prepared.plan.domain_uuid.empty() ? record.id : prepared.plan.domain_uuid;
    lock.emplace(record.domain_uuid, record.domain_name);
  }
  if (connection) require_no_overlays(*connection, manifest, options);
  RestoreReport done = base::with_context(
      [&] {
        return RestoreJob(context, repository, manifest, options, connection.get(), record, std::move(prepared),
                          std::move(damage))
            .run();
      },
      "restore of '{}'", record.domain_name);
  for (std::size_t i = 0; i < done.disks.size(); ++i) done.disks[i].replaces = planned.disks[i].replaces;
  planned.disks = std::move(done.disks);
  for (RestoredFile& file : planned.files) file.verified = options.verify;
  planned.duration = done.duration;
  return planned;
}

}  // namespace icecore::job
