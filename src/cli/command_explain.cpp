// SPDX-License-Identifier: Apache-2.0
// `icecore explain DOMAIN`.
#include <fmt/core.h>

#include "base/error.hpp"
#include "cli/backup_batch.hpp"
#include "cli/commands.hpp"
#include "cli/explain_output.hpp"
#include "cli/policy_repository.hpp"
#include "job/explain.hpp"
#include "job/explain_changes.hpp"
#include "policy/policy_file.hpp"

namespace icecore::cli {

namespace {

struct ExplainOptions {
  std::string domain;
  std::filesystem::path policy;
  job::BackupOptions backup;
};

void declare(WordList& words, ExplainOptions& options) {
  words.positional("DOMAIN", "name or UUID", Count::one, WordList::into(options.domain));
  words.option("--policy", "FILE", "as `icecore run FILE` would back it up; the options below do not count then",
               WordList::into(options.policy));
  words.option("--quiesce", "RULE", "as for `icecore backup`: required, try (default), off",
               WordList::choice<job::Quiesce>(
                   options.backup.quiesce,
                   {{"required", job::Quiesce::required}, {"try", job::Quiesce::attempt}, {"off", job::Quiesce::off}}));
  words.flag_or_value(
      "--full-state", "[=RULE]", "required", "as for `icecore backup`: required (default), try, off",
      WordList::choice<job::FullState>(
          options.backup.full_state,
          {{"required", job::FullState::required}, {"try", job::FullState::attempt}, {"off", job::FullState::off}}));
  words.flag("--pause", "with --full-state: the guest would stand still while its memory is saved",
             options.backup.pause);
  words.flag("--live",
             "with --full-state: the guest would run on meanwhile also where it stands still by default, which is "
             "where a QEMU before 9.0 emulates it without KVM and misses some of what it writes",
             options.backup.live);
  words.option("--mode", "MODE", "as for `icecore backup`: disks (default), copy",
               WordList::choice<bool>(options.backup.copy, {{"disks", false}, {"copy", true}}));
  words.repeatable("--disk", "TARGET", "only this disk, such as vda; may be given several times",
                   WordList::into(options.backup.include_disks));
  words.repeatable("--exclude-disk", "TARGET", "all disks but this; may be given several times",
                   WordList::into(options.backup.exclude_disks));
  words.option("--change-map", "MAP", "as for `icecore backup`: auto (default), bitmap, scan, layer",
               WordList::choice<job::ChangeMap>(options.backup.change_map, {{"auto", job::ChangeMap::automatic},
                                                                            {"bitmap", job::ChangeMap::bitmap},
                                                                            {"scan", job::ChangeMap::scan},
                                                                            {"layer", job::ChangeMap::layer}}));
  words.option("--overlay-dir", "DIR", "where the guest would write meanwhile, instead of beside each disk",
               WordList::into(options.backup.overlay_folder));
  words.option("--device-overlay-dir", "DIR", "the same for disks that are block devices (ICECORE_DEVICE_OVERLAY_DIR)",
               WordList::into(options.backup.device_overlay_folder));
}

// Nothing when none is named.
std::optional<OpenRepository> open_named(const Session& session, const std::optional<policy::Policy>& policy,
                                         const std::stop_token& stop) {
  if (policy) return open_policy_to_look(session, *policy, stop);
  if (session.options.repository_url.empty()) return std::nullopt;
  return open_to_look(session, session.options.repository_url, credential_sources(session, stop), stop);
}

// What only the repository knows. Without it the rest is told all the same.
void ask_repository(JobSession& jobs, const std::optional<policy::Policy>& policy, const job::BackupOptions& backup,
                    job::Explanation& explanation) {
  try {
    const std::optional<OpenRepository> open = open_named(jobs.session(), policy, jobs.stop());
    if (open) return job::explain_changes(explanation, *open->repository, backup, jobs.stop());
    explanation.repository_note = "none is named (-r): from which point each disk would be counted is not told";
  } catch (const base::Error& error) {
    if (error.fault() == base::Fault::cancelled) throw;
    explanation.repository_note =
        fmt::format("cannot be asked from which point each disk would be counted: {}", error.what());
  }
}

ExitCode run(Session& session, const ExplainOptions& options) {
  if (options.policy.empty()) require_sound_memory(options.backup);
  JobSession jobs(session);
  std::optional<policy::Policy> policy;
  if (!options.policy.empty()) policy = policy::load_policy(options.policy);
  job::BackupOptions backup = policy ? policy->backup : options.backup;
  fill_from_environment(backup, session.environment);
  job::Explanation explanation = job::explain_backup(jobs.context(), options.domain, backup);
  ask_repository(jobs, policy, backup, explanation);
  jobs.progress().clear();
  if (session.options.json) {
    session.console.print_json(explanation_record(explanation));
  } else {
    print_explanation(session.console, explanation);
  }
  return explanation.would_work() ? ExitCode::ok : exit_code_of(explanation.refusals.front().fault());
}

}  // namespace

Command make_explain_command() {
  return make_command<ExplainOptions>(
      {.name = "explain",
       .summary = "Tell what a backup of a domain would do, and why",
       .description =
           "Of each disk: whether a backup takes it and why not, its chain of images and which of them are written to, "
           "who else uses them, where its overlay would lie and what room there is. Of the domain: how consistent the "
           "point would be, what AppArmor, SELinux or permissions may do to it, what stands against saving its memory, "
           "or with "
           "--full-state where it would be saved. "
           "With a repository (-r) and its key: from which restore point each disk's changes would be counted, or why "
           "all "
           "would be read, and how much that is; of a running domain only QEMU knows whether a bitmap is sound, and "
           "none "
           "of it is a promise. Nobody is asked for a passphrase. Reads only. Exit code 0 when a backup would begin, "
           "else the one it would end with; what an interrupted job left counts as a refusal, though a backup puts it "
           "in "
           "order first.",
       .examples = {{"sudo icecore explain web1", "before its first backup"},
                    {"sudo icecore explain web1 --policy policies/web-servers.xml", "as that policy has it"},
                    {"sudo icecore explain web1 -r /var/backups/icecore --key-file /root/icecore.key",
                     "and what would be read"},
                    {"sudo icecore explain web1 --json", "for a program"}},
       .json = explanation_fields()},
      declare, run);
}

}  // namespace icecore::cli
