// SPDX-License-Identifier: Apache-2.0
// `icecore repair`.
#include <fmt/core.h>

#include "base/handle.hpp"
#include "cli/commands.hpp"
#include "cli/loss_output.hpp"
#include "cli/maintenance_session.hpp"
#include "cli/point_output.hpp"
#include "maintenance/repair.hpp"

namespace icecore::cli {

namespace {

using maintenance::RepairReport;

struct RepairCommandOptions {
  bool read_data = false;
};

void declare(WordList& words, RepairCommandOptions& options) {
  words.flag("--read-data", "read every pack for damage; else only those that `icecore verify` found damaged",
             options.read_data);
}

base::Json record_of(const RepairReport& report, std::uint32_t block_bytes) {
  return {{"points", report.points},
          {"packs_indexed", report.packs_indexed},
          {"packs_salvaged", report.packs_salvaged},
          {"packs_missing", report.packs_missing},
          {"removed", bad_object_records(report.removed)},
          {"left", bad_object_records(report.left)},
          {"losses", loss_records(report.losses, block_bytes)},
          {"healed", report.healed}};
}

void print_report(Console& console, const RepairReport& report, std::uint32_t block_bytes) {
  for (const auto& mark : report.removed) {
    console.print(fmt::format("'{}' is removed, which loses nothing: {}", mark.object, mark.reason));
  }
  for (const auto& bad : report.left) console.err << fmt::format("icecore: '{}': {}\n", bad.object, bad.reason);
  console.err << format_ways_out(report.left, false, "");
  console.print(fmt::format("{} packs taken into the index, {} damaged ones salvaged, {} missing", report.packs_indexed,
                            report.packs_salvaged, report.packs_missing));
  for (const std::string& id : report.healed) {
    console.print(fmt::format("restore point {} is whole again", short_id(id)));
  }
  if (report.losses.empty()) return console.print(fmt::format("all {} restore points are whole", report.points));
  console.print("these lost blocks, which is noted at them; what is left can be restored with --allow-damaged:");
  console.out << format_losses(report.losses, block_bytes);
  console.print("a backup that meets a lost block stores it again; `icecore verify` then finds the point whole");
}

ExitCode run(Session& session, const RepairCommandOptions& options) {
  JobSession jobs(session);
  const OpenRepository open = open_directly(session, jobs.stop());
  const RepairReport report = [&] {
    const base::ScopeExit clear([&] { jobs.progress().clear(); });
    return maintenance::repair(*open.repository,
                               {.read_data = options.read_data, .history = history_file(session, *open.repository)},
                               make_watch(jobs));
  }();
  const std::uint32_t block_bytes = open.repository->config().block_bytes;
  if (session.options.json) {
    session.console.print_json(record_of(report, block_bytes));
  } else {
    print_report(session.console, report, block_bytes);
  }
  return report.left.empty() && report.losses.empty() ? ExitCode::ok : ExitCode::corrupt;
}

}  // namespace

Command make_repair_command() {
  return make_command<RepairCommandOptions>(
      {.name = "repair",
       .summary = "Put a damaged repository in order",
       .description =
           "Builds the index anew from packs where it is lost, takes what can be read out of damaged packs, and notes "
           "at "
           "restore points which blocks they lost. Such a point is restored only with --allow-damaged. A block that is "
           "lost is stored again by the next backup that meets it. No pack and no restore point is deleted. Backups "
           "may "
           "go on meanwhile. Exit code 8 when something stays lost.",
       .examples = {{"icecore repair", "after `icecore verify` named damage"},
                    {"icecore repair --read-data", "looks for damage in every pack itself"}},
       .json = {{"points", "restore points that can be read"},
                {"packs_indexed", "that no index named"},
                {"packs_salvaged", "damaged ones whose good blocks were moved"},
                {"packs_missing", "that an index named and are gone"},
                {"removed[]",
                 "damaged prune marks, and groups that name missing points, removed without loss: object, reason"},
                {"left[]", "what cannot be put right: object, reason"},
                {"losses[]", "noted at their points: point, domain, time, disk, ranges[] (offset, length; bytes)"},
                {"healed[]", "ids of points that had lost blocks and are whole again"}}},
      declare, run);
}

}  // namespace icecore::cli
