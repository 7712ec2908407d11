// SPDX-License-Identifier: Apache-2.0
// `icecore verify`.
#include <fmt/core.h>

#include <charconv>

#include "base/bytes.hpp"
#include "base/handle.hpp"
#include "cli/commands.hpp"
#include "cli/loss_output.hpp"
#include "cli/maintenance_session.hpp"
#include "cli/point_output.hpp"
#include "maintenance/verify.hpp"

namespace icecore::cli {

namespace {

using maintenance::VerifyReport;

struct VerifyCommandOptions {
  int read_percent = 0;
};

void declare(WordList& words, VerifyCommandOptions& options) {
  words.flag_or_value("--read-data", "[=PERCENT]", "100",
                      "read every pack, too, or that share of them, those longest unread: finds bytes that changed",
                      WordList::whole_number(options.read_percent, 1, 100));
}

base::Json record_of(const VerifyReport& report, std::uint32_t block_bytes) {
  return {{"good", report.good()},
          {"points", report.points},
          {"live_blocks", report.live_blocks},
          {"packs", report.packs},
          {"bytes", report.bytes},
          {"packs_read", report.packs_read},
          {"bytes_read", report.bytes_read},
          {"unindexed_packs", report.unindexed_packs},
          {"damage", bad_object_records(report.damage)},
          {"losses", loss_records(report.losses, block_bytes)},
          {"healed", report.healed}};
}

void print_report(Console& console, const VerifyReport& report, std::uint32_t block_bytes) {
  for (const auto& bad : report.damage) {
    console.err << fmt::format("icecore: '{}': {}\n", bad.object, bad.reason);
  }
  if (!report.losses.empty()) console.err << "icecore: restore points lack blocks:\n";
  console.err << format_losses(report.losses, block_bytes);
  for (const std::string& id : report.healed) {
    console.print(fmt::format("restore point {} is whole again", short_id(id)));
  }
  console.print(fmt::format("{} restore points, {} blocks in {} packs ({}); {}", report.points, report.live_blocks,
                            report.packs, base::format_size(report.bytes),
                            report.packs_read == 0 ? "their content was not read"
                                                   : fmt::format("read {} packs ({})", report.packs_read,
                                                                 base::format_size(report.bytes_read))));
  if (report.unindexed_packs > 0) {
    console.print(
        fmt::format("{} packs are in no index: of a backup that runs or was interrupted, or marked by a prune",
                    report.unindexed_packs));
  }
  console.print(report.good() ? "no damage" : "DAMAGED");
  console.err << format_ways_out(report.damage, !report.losses.empty(), "icecore repair");
}

ExitCode run(Session& session, const VerifyCommandOptions& options) {
  JobSession jobs(session);
  const OpenRepository open = open_directly(session, jobs.stop());
  maintenance::VerifyOptions verify;
  if (options.read_percent > 0) verify.read_percent = static_cast<unsigned>(options.read_percent);
  verify.history = history_file(session, *open.repository);
  const VerifyReport report = [&] {
    const base::ScopeExit clear([&] { jobs.progress().clear(); });
    return maintenance::verify(*open.repository, verify, make_watch(jobs));
  }();
  const std::uint32_t block_bytes = open.repository->config().block_bytes;
  if (session.options.json) {
    session.console.print_json(record_of(report, block_bytes));
  } else {
    print_report(session.console, report, block_bytes);
  }
  return report.good() ? ExitCode::ok : ExitCode::corrupt;
}

}  // namespace

Command make_verify_command() {
  return make_command<VerifyCommandOptions>(
      {.name = "verify",
       .summary = "Check that everything restore points need is there",
       .description =
           "Checks keys, index, packs and restore points, and that every block of every disk has its place. With "
           "--read-data every pack is read and every block compared with its name; --read-data=PERCENT reads a share, "
           "beginning with what this host has not read for longest, so that 10 every night reads all in ten nights. "
           "Interrupted, it goes on where it was. Damage is named with the restore points and disks that suffer, and "
           "the exit code is 8. Packs found damaged before, here or by another host, are read again each time. No "
           "pack and no restore point is changed: what a point lacks is noted at it, so that `icecore forget` does not "
           "take it for whole, and the note is removed when the point is whole again.",
       .examples = {{"icecore verify", "the structure, quickly"},
                    {"icecore verify --read-data", "every byte"},
                    {"icecore verify --read-data=10", "a tenth of the bytes, those longest unread"}},
       .json = {{"good", "true when there is no damage"},
                {"points, live_blocks, packs, bytes", "what there is"},
                {"packs_read, bytes_read", "of these read whole"},
                {"unindexed_packs", "in no index; no damage"},
                {"damage[]", "object, reason"},
                {"losses[]", "what suffers: point, domain, time, disk, ranges[] (offset, length; bytes)"},
                {"healed[]", "ids of points that had lost blocks and are whole again"}}},
      declare, run);
}

}  // namespace icecore::cli
