// SPDX-License-Identifier: Apache-2.0
// `icecore backup DOMAIN...`.
#include "base/error.hpp"
#include "cli/backup_batch.hpp"
#include "cli/commands.hpp"
#include "cli/upload_session.hpp"

namespace icecore::cli {

namespace {

constexpr int k_freeze_limit_ms_min = 100;
constexpr int k_freeze_limit_ms_max = 600'000;
constexpr int k_compression_level_max = 19;
constexpr int k_recheck_max = 1000;
constexpr int k_overlay_age_minutes_max = 100'000;

struct BackupCommandOptions {
  std::vector<std::string> domains;
  job::BackupOptions backup;
  int freeze_limit_ms = 0;
  int overlay_age_minutes = 0;
  staging::UploadOptions upload;
  bool no_wait = false;
  bool group = false;
};

void declare_overlays(WordList& words, BackupCommandOptions& options) {
  words.option("--overlay-dir", "DIR",
               "where the guest writes meanwhile, instead of beside each disk; with less than 5 % free there a backup "
               "is refused, "
               "or ended early",
               WordList::into(options.backup.overlay_folder));
  words.option("--device-overlay-dir", "DIR",
               "the same for disks that are block devices, which have no place beside them "
               "(ICECORE_DEVICE_OVERLAY_DIR)",
               WordList::into(options.backup.device_overlay_folder));
  words.option("--overlay-age-max", "MINUTES",
               "end the backup when the guest has written to its overlay for so long; default: a day",
               WordList::whole_number(options.overlay_age_minutes, 1, k_overlay_age_minutes_max));
}

void declare_memory(WordList& words, job::BackupOptions& options) {
  words.flag_or_value(
      "--full-state", "[=RULE]", "required",
      "the guest's memory too, so that it goes on where it was, of a domain that runs, with all its writable disks; "
      "nothing is frozen for it. required (default): no memory, no backup; "
      "try: disks alone when it cannot be saved, also when that turns out underway; off",
      WordList::choice<job::FullState>(
          options.full_state,
          {{"required", job::FullState::required}, {"try", job::FullState::attempt}, {"off", job::FullState::off}}));
  words.flag("--pause", "with --full-state: the guest stands still while its memory is saved", options.pause);
  words.flag("--live",
             "with --full-state: the guest runs on meanwhile also where it stands still by default, which is where a "
             "QEMU before 9.0 emulates it without KVM and misses some of what it writes",
             options.live);
}

void declare(WordList& words, BackupCommandOptions& options) {
  words.positional("DOMAIN", "name or UUID", Count::at_least_one, WordList::into(options.domains));
  words.flag(
      "--group",
      "all at one instant: frozen and snapshotted together, or none; one that fails after that leaves the others "
      "their points",
      options.group);
  words.option("--quiesce", "RULE",
               "required: no frozen file systems (of a domain that is off: no shutdown), no backup; "
               "try (default): freeze if the agent does; off",
               WordList::choice<job::Quiesce>(
                   options.backup.quiesce,
                   {{"required", job::Quiesce::required}, {"try", job::Quiesce::attempt}, {"off", job::Quiesce::off}}));
  declare_memory(words, options.backup);
  words.option("--mode", "MODE",
               "disks (default), or copy: a point beside the others, which leaves bitmaps and layers alone",
               WordList::choice<bool>(options.backup.copy, {{"disks", false}, {"copy", true}}));
  words.option("--freeze-limit", "MS", "thaw after so many milliseconds whatever happens; default: 30000, Windows 8000",
               WordList::whole_number(options.freeze_limit_ms, k_freeze_limit_ms_min, k_freeze_limit_ms_max));
  words.repeatable("--disk", "TARGET", "only this disk, such as vda; may be given several times",
                   WordList::into(options.backup.include_disks));
  words.repeatable("--exclude-disk", "TARGET", "all disks but this; may be given several times",
                   WordList::into(options.backup.exclude_disks));
  words.option("--change-map", "MAP",
               "auto (default): what a bitmap in the image marks as written since the last point, where there is a "
               "good one, else scan; bitmap: the same, and a disk without is told; scan: all that is allocated, and no "
               "bitmap is made; layer: for images of any format, raw and block devices too: the overlay stays, holds "
               "what is written until the next backup with layer, which reads that and merges it down",
               WordList::choice<job::ChangeMap>(options.backup.change_map, {{"auto", job::ChangeMap::automatic},
                                                                            {"bitmap", job::ChangeMap::bitmap},
                                                                            {"scan", job::ChangeMap::scan},
                                                                            {"layer", job::ChangeMap::layer}}));
  words.option(
      "--recheck", "N",
      "of every 1000 blocks that a bitmap or layer calls unchanged so many are read and compared all the same; "
      "default: 1; never more than 256 blocks",
      WordList::whole_number(options.backup.recheck_per_mille, 0, k_recheck_max));
  declare_overlays(words, options);
  words.flag("--no-wait",
             "of a staged backup: end when the guest is on its disks again, and leave the upload to "
             "`icecore upload`",
             options.no_wait);
  declare_upload_words(words, options.upload);
  words.option("--compression", "LEVEL", "1 (fast) to 19 (small), as zstd counts",
               WordList::whole_number(options.backup.compression_level, 1, k_compression_level_max));
  words.repeatable("--tag", "TEXT", "kept with the restore point; may be given several times",
                   WordList::into(options.backup.tags));
}

void require_sound_options(const BackupCommandOptions& options) {
  const bool memory = options.backup.full_state != job::FullState::off;
  require_sound_memory(options.backup);
  if (options.group && memory)
    base::fail(
        base::Fault::usage,
        "--group and --full-state exclude each other: the others would stand frozen while one's memory is saved");
}

ExitCode run(Session& session, const BackupCommandOptions& options) {
  require_sound_options(options);
  session.connections_ahead = 1;
  JobSession jobs(session);
  OpenRepository open = open_repository(session, jobs.stop());
  job::BackupOptions backup = options.backup;
  backup.freeze_limit = base::Milliseconds(options.freeze_limit_ms);
  if (options.overlay_age_minutes > 0) backup.overlay_age_max = std::chrono::minutes(options.overlay_age_minutes);
  std::optional<UploadSession> upload;
  if (!options.no_wait) upload.emplace(jobs, open, options.upload);
  const auto back_up = options.group ? back_up_group : back_up_domains;
  const std::vector<DomainOutcome> outcomes =
      back_up(jobs, *open.repository, options.domains, backup, upload ? &*upload : nullptr);
  if (session.options.json) session.console.print_json(outcomes_record(outcomes));
  return exit_code_of(outcomes);
}

}  // namespace

Command make_backup_command() {
  return make_command<BackupCommandOptions>(
      {.name = "backup",
       .summary = "Back up domains, running or not",
       .description =
           "Freezes the guest's file systems through its agent for the moment of a snapshot, reads the frozen disks "
           "while the guest goes on in an overlay, stores what the repository does not have yet, and merges the "
           "overlay back. What is stored goes through a staging folder when the repository is not on this host: the "
           "guest "
           "is on its own disks again before the network matters. Several domains are backed up one after another; one "
           "that fails does not stop the others. With --group all of them are frozen and snapshotted together; one "
           "that "
           "cannot be leaves all as they were. While an agent of a group is waited for the other guests stand frozen: "
           "it has half of --freeze-limit (whole seconds), or 5 s without that. "
           "Ctrl-C ends cleanly: the guest is thawed and back on its own disks before icecore ends.",
       .examples = {{"sudo icecore backup web1 -r /var/backups/icecore --key-file /etc/icecore/repository.key",
                     "a restore point of web1"},
                    {"sudo icecore backup web1 db1 --quiesce required",
                     "both, but only with frozen file systems; the repository comes from the environment"},
                    {"sudo icecore backup --group web1 db1", "both at one instant"},
                    {"sudo icecore backup web1 --full-state", "disks and memory of one instant, the guest running on"},
                    {"sudo icecore backup web1 --exclude-disk vdb --tag before-upgrade --json",
                     "without its second disk, with a tag; the outcome as a record"}},
       .json = outcome_fields()},
      declare, run);
}

}  // namespace icecore::cli
