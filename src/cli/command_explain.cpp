// SPDX-License-Identifier: Apache-2.0
// `icecore explain DOMAIN`.
#include "cli/backup_batch.hpp"
#include "cli/commands.hpp"
#include "cli/explain_output.hpp"
#include "job/explain.hpp"
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
  words.repeatable("--disk", "TARGET", "only this disk, such as vda; may be given several times",
                   WordList::into(options.backup.include_disks));
  words.repeatable("--exclude-disk", "TARGET", "all disks but this; may be given several times",
                   WordList::into(options.backup.exclude_disks));
  words.option("--overlay-dir", "DIR", "where the guest would write meanwhile, instead of beside each disk",
               WordList::into(options.backup.overlay_folder));
  words.option("--device-overlay-dir", "DIR", "the same for disks that are block devices (ICECORE_DEVICE_OVERLAY_DIR)",
               WordList::into(options.backup.device_overlay_folder));
}

ExitCode run(Session& session, const ExplainOptions& options) {
  JobSession jobs(session);
  job::BackupOptions backup = options.policy.empty() ? options.backup : policy::load_policy(options.policy).backup;
  fill_from_environment(backup, session.environment);
  const job::Explanation explanation = job::explain_backup(jobs.context(), options.domain, backup);
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
           "point would be, what AppArmor, SELinux or permissions may do to it, what stands against saving its memory. "
           "Reads only. Exit code 0 when a backup would begin, else the one it would end with.",
       .examples = {{"sudo icecore explain web1", "before its first backup"},
                    {"sudo icecore explain web1 --policy policies/web-servers.xml", "as that policy has it"},
                    {"sudo icecore explain web1 --json", "for a program"}},
       .json = explanation_fields()},
      declare, run);
}

}  // namespace icecore::cli
