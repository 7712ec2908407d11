// SPDX-License-Identifier: Apache-2.0
// `icecore prune`.
#include <fmt/core.h>

#include <charconv>

#include "base/bytes.hpp"
#include "base/handle.hpp"
#include "cli/commands.hpp"
#include "cli/maintenance_session.hpp"
#include "cli/point_output.hpp"
#include "cli/table.hpp"
#include "maintenance/prune.hpp"

namespace icecore::cli {

namespace {

using maintenance::PackCount;
using maintenance::PruneReport;

struct PruneCommandOptions {
  maintenance::PruneOptions prune;
  int live_percent_min = 50;
};

// "90s", "30m", "24h", "7d".
std::chrono::seconds parse_grace(const std::string& text) {
  long number = -1;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const long seconds = unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : unit == "d" ? 86400 : 0;
  constexpr long k_number_max = 100'000;
  if (failure != std::errc() || number < 0 || number > k_number_max || seconds == 0) {
    base::fail(base::Fault::usage, "'{}' is no time of grace; write 24h, 7d, 30m or 0s", text);
  }
  return std::chrono::seconds(number * seconds);
}

void declare(WordList& words, PruneCommandOptions& options) {
  words.flag("--dry-run", "change nothing; tell what would be freed", options.prune.dry_run);
  words.option("--grace", "TIME", "how long packs stay after they were marked, such as 24h (default), 7d or 0s",
               [&](const std::string& text) { options.prune.grace = parse_grace(text); });
  words.option("--rewrite-below", "PERCENT", "rewrite packs of which less than this is needed (default 50; 0: none)",
               WordList::whole_number(options.live_percent_min, 0, 100));
}

base::Json record_of(const PackCount& count) { return {{"packs", count.packs}, {"bytes", count.bytes}}; }

base::Json record_of(const PruneReport& report, bool dry_run) {
  return {{"dry_run", dry_run},
          {"points", report.points},
          {"live_blocks", report.live_blocks},
          {"before", record_of(report.before)},
          {"kept", record_of(report.kept)},
          {"needless", record_of(report.needless)},
          {"rewritten", record_of(report.rewritten)},
          {"written", record_of(report.written)},
          {"waiting", record_of(report.waiting)},
          {"deleted", record_of(report.deleted)},
          {"due", report.due ? base::Json(base::format_time(*report.due)) : base::Json()},
          {"notes", report.notes}};
}

void print_report(Console& console, const PruneReport& report, bool dry_run) {
  for (const std::string& note : report.notes) console.err << "icecore: " << note << '\n';
  const auto row = [](std::string name, const PackCount& count, std::string meaning) {
    return std::vector<std::string>{std::move(name), fmt::format("{}", count.packs), base::format_size(count.bytes),
                                    std::move(meaning)};
  };
  std::vector<std::vector<std::string>> rows = {
      row("found", report.before, fmt::format("for {} restore points", report.points)),
      row("kept", report.kept, "as they are"),
      row("needless", report.needless, "no restore point needs a block of them"),
      row("rewritten", report.rewritten, "sparse, or many small ones: their blocks move to new packs"),
      row(dry_run ? "new, about" : "new", report.written, "written for those blocks"),
      row("waiting", report.waiting,
          report.due ? "marked; to be deleted by a prune after " + point_time(*report.due) : "marked for deletion"),
      row(dry_run ? "to delete" : "deleted", report.deleted, "marked long enough")};
  console.out << format_table({{dry_run ? "WOULD BE" : "PACKS"}, {"COUNT", Align::right}, {"SIZE", Align::right}, {""}},
                              rows);
}

ExitCode run(Session& session, const PruneCommandOptions& options) {
  JobSession jobs(session);
  const OpenRepository open = open_directly(session, jobs.stop());
  maintenance::PruneOptions prune = options.prune;
  prune.live_percent_min = static_cast<unsigned>(options.live_percent_min);
  const PruneReport report = [&] {
    const base::ScopeExit clear([&] { jobs.progress().clear(); });
    return maintenance::prune(*open.repository, prune, make_watch(jobs));
  }();
  if (session.options.json) {
    session.console.print_json(record_of(report, prune.dry_run));
  } else {
    print_report(session.console, report, prune.dry_run);
  }
  return ExitCode::ok;
}

}  // namespace

Command make_prune_command() {
  return make_command<PruneCommandOptions>(
      {.name = "prune",
       .summary = "Free the space of blocks no restore point needs",
       .description =
           "Finds packs without a needed block and packs with few of them, moves the needed blocks of the latter to "
           "new "
           "packs, and marks both for deletion. A prune after the time of grace deletes what was marked and is still "
           "not needed, so a weekly prune frees what the one before it marked; --grace 0s does both at once. Backups "
           "on "
           "any host may go on meanwhile; only while packs are deleted the repository is used by nobody else, and when "
           "somebody is at work that part is left to the next prune. It may be interrupted at any time. A restore "
           "point that cannot be read stops it before anything changes: what it needs is unknown, until it is brought "
           "back or given up with `icecore forget ID --even-unreadable`.",
       .examples = {{"icecore prune --dry-run", "what would be freed"},
                    {"icecore prune", "marks, and deletes what was marked a day ago or earlier"},
                    {"icecore prune --grace 0s", "frees everything now"}},
       .json = {{"dry_run", "true or false"},
                {"points, live_blocks", "restore points, and the distinct blocks they need"},
                {"before, kept", "packs and bytes found, and of these left as they are"},
                {"needless, rewritten", "packs and bytes marked now: without needed blocks; with few, or small"},
                {"written", "packs and bytes written for the blocks of rewritten ones; in a dry run about"},
                {"waiting", "packs and bytes marked, now or earlier, and not deleted"},
                {"deleted", "packs and bytes deleted; in a dry run, that would be"},
                {"due", "when the first of those waiting may be deleted; null when none wait"},
                {"notes[]", "what a person should know"}}},
      declare, run);
}

}  // namespace icecore::cli
