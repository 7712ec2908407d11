// SPDX-License-Identifier: Apache-2.0
// `icecore restore POINT`.
#include <fmt/core.h>

#include <algorithm>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "base/handle.hpp"
#include "cli/commands.hpp"
#include "cli/job_session.hpp"
#include "cli/point_output.hpp"
#include "cli/readable_points.hpp"
#include "cli/restore_group.hpp"
#include "job/restore.hpp"

namespace icecore::cli {

namespace {

struct RestoreCommandOptions {
  std::string point;
  bool group = false;
  job::RestoreOptions restore;
};

// Splits "NAME=VALUE" and hands both on.
Setter pair_of(std::string_view option, std::function<void(std::string name, std::string value)> set) {
  return [option = std::string(option), set = std::move(set)](const std::string& text) {
    const std::size_t sign = text.find('=');
    if (sign == 0 || sign == std::string::npos || sign + 1 == text.size())
      base::fail(base::Fault::usage, "{} takes two names with '=' between, not '{}'", option, text);
    set(text.substr(0, sign), text.substr(sign + 1));
  };
}

void set_format(job::RestoreOptions& restore, const std::string& target, const std::string& format) {
  if (format != "raw" && format != "qcow2")
    base::fail(base::Fault::usage, "--disk-format knows raw and qcow2, not '{}'", format);
  restore.disk_formats[target] = format;
}

void declare_places(WordList& words, job::RestoreOptions& restore) {
  words.option("--to", "DIR", "put the disk files there instead of where they were", [&](const std::string& folder) {
    restore.to = std::filesystem::absolute(folder);  // a domain's XML has absolute paths
  });
  words.option("--pool", "NAME", "put the disk files into that storage pool of libvirt", WordList::into(restore.pool));
  words.repeatable("--disk", "TARGET", "only this disk, such as vda; may be given several times",
                   WordList::into(restore.disks));
  words.repeatable("--disk-path", "TARGET=PATH", "put this disk there: a new file, or a block device",
                   pair_of("--disk-path", [&](const std::string& target, const std::string& path) {
                     restore.disk_paths[target] = std::filesystem::absolute(path);
                   }));
  words.repeatable("--disk-format", "TARGET=FORMAT", "raw or qcow2 instead of the format it had",
                   pair_of("--disk-format", [&](const std::string& target, const std::string& format) {
                     set_format(restore, target, format);
                   }));
  words.flag("--overwrite-device", "write over what the block devices named, or those it was on, hold now",
             restore.overwrite_device);
}

void declare(WordList& words, RestoreCommandOptions& options) {
  job::RestoreOptions& restore = options.restore;
  words.positional("POINT", "id prefix (of a group, with --group), latest, DOMAIN or DOMAIN@TIME", Count::one,
                   WordList::into(options.point));
  words.option("--as", "NAME", "as a new domain, with a new UUID and new MAC addresses",
               WordList::into(restore.new_name));
  words.flag("--keep-identity", "with --as: the same machine under another name, with the UUID and addresses it had",
             restore.keep_identity);
  words.flag("--group",
             "all points of the same instant: checked together, then restored one after the other; one that fails "
             "leaves those "
             "before it restored",
             options.group);
  words.flag("--replace", "in the place of the domain it was made of, which must be shut off", restore.replace);
  words.flag("--disks-only", "only the disks, no domain; needs a place for them", restore.disks_only);
  declare_places(words, restore);
  words.repeatable("--map-network", "FROM=TO", "put interfaces on FROM (network, network/portgroup, bridge) onto TO",
                   pair_of("--map-network", [&](std::string from, std::string to) {
                     restore.networks.push_back({std::move(from), std::move(to)});
                   }));
  words.flag("--verify", "read back what was written and compare, before the domain is defined", restore.verify);
  words.flag("--allow-incompatible", "define the domain on a host that cannot start it as it is",
             restore.allow_incompatible);
  words.flag("--start", "start the domain at the end", restore.start);
  words.flag("--paused", "of a point with the guest's memory: it is where it was and waits for `virsh resume`",
             restore.paused);
  words.flag("--discard-memory", "of such a point: disks only, as if the power had been cut", restore.discard_memory);
  words.flag("--allow-damaged", "a point that lost blocks, too; those read as zeroes", restore.allow_damaged);
  words.flag("--dry-run", "change nothing; print what would be written and defined", restore.dry_run);
}

base::Json findings_of(const job::RestoreReport& report) {
  base::Json findings = base::Json::array();
  for (const hypervisor::Finding& finding : report.findings) {
    findings.push_back(
        {{"severity", finding.blocks ? "problem" : "warning"}, {"what", finding.what}, {"cure", finding.cure}});
  }
  return findings;
}

// A dry run of what would be refused ends as the refusal would.
ExitCode exit_code_of(const std::vector<job::RestoreReport>& reports, const job::RestoreOptions& options) {
  const auto blocks = [](const hypervisor::Finding& finding) { return finding.blocks; };
  const bool refused = std::any_of(reports.begin(), reports.end(), [&](const job::RestoreReport& report) {
    return std::any_of(report.findings.begin(), report.findings.end(), blocks);
  });
  return refused && options.dry_run && !options.allow_incompatible ? ExitCode::conflict : ExitCode::ok;
}

base::Json record_of(const job::RestoreReport& report, const job::RestoreOptions& options) {
  base::Json disks = base::Json::array();
  for (const job::RestoredDisk& disk : report.disks) {
    disks.push_back({{"target", disk.target},
                     {"path", disk.path.string()},
                     {"format", disk.format},
                     {"size", disk.size},
                     {"replaces", disk.replaces},
                     {"bytes_written", disk.bytes_written},
                     {"verified", disk.verified}});
  }
  base::Json files = base::Json::array();
  for (const job::RestoredFile& file : report.files)
    files.push_back(
        {{"kind", file.kind}, {"path", file.path.string()}, {"replaces", file.replaces}, {"verified", file.verified}});
  return {{"point", report.point_id},
          {"domain", report.domain_name},
          {"domain_uuid", report.domain_uuid},
          {"disks", disks},
          {"files", files},
          {"xml_diff", report.xml_diff},
          {"notes", report.notes},
          {"findings", findings_of(report)},
          {"dry_run", options.dry_run},
          {"started", (options.start || report.with_memory) && !options.dry_run},
          {"with_memory", report.with_memory},
          {"duration_ms", report.duration.count()}};
}

std::string in_place_of(bool replaces) { return replaces ? ", in place of what is there" : ""; }

void print_plan(Console& console, const job::RestoreReport& report) {
  console.out << report.xml_diff;
  if (report.with_memory) {
    console.print("the guest would go on where it was, with its memory");
    console.print(fmt::format("would write memory to {}, until the guest goes on", report.memory_file.string()));
  }
  for (const job::RestoredDisk& disk : report.disks) {
    console.print(fmt::format("would write {} to {} ({}, {}){}", disk.target, disk.path.string(), disk.format,
                              disk.room, in_place_of(disk.replaces)));
  }
  for (const job::RestoredFile& file : report.files)
    console.print(fmt::format("would write {} to {}{}", file.kind, file.path.string(), in_place_of(file.replaces)));
}

void print_report(Console& console, const job::RestoreReport& report, const job::RestoreOptions& options) {
  for (const std::string& note : report.notes) console.err << "icecore: " << note << '\n';
  for (const hypervisor::Finding& finding : report.findings) {
    console.err << fmt::format("icecore: {}: {}\n  try: {}\n",
                               finding.blocks ? "the domain cannot run here" : "warning", finding.what, finding.cure);
  }
  if (options.dry_run) return print_plan(console, report);
  const std::string as = report.domain_name.empty() ? "" : fmt::format(" as domain '{}'", report.domain_name);
  const std::string now = options.paused       ? ", paused where it was"
                          : report.with_memory ? ", which goes on where it was"
                          : options.start      ? ", which is starting"
                                               : "";
  console.print(fmt::format("restored {}{}{} in {:.1f} s", short_id(report.point_id), as, now,
                            static_cast<double>(report.duration.count()) / 1000));
  for (const job::RestoredDisk& disk : report.disks) {
    console.print(fmt::format("  {}  {}  {} written{}", disk.target, disk.path.string(),
                              base::format_size(disk.bytes_written), disk.verified ? ", read back and the same" : ""));
  }
  for (const job::RestoredFile& file : report.files)
    console.print(
        fmt::format("  {}  {}{}", file.kind, file.path.string(), file.verified ? ", read back and the same" : ""));
}

// A record; of a group a list of them.
void tell(Session& session, const RestoreCommandOptions& options, const std::vector<job::RestoreReport>& reports) {
  base::Json records = base::Json::array();
  for (const job::RestoreReport& report : reports) {
    records.push_back(record_of(report, options.restore));
    if (!session.options.json) print_report(session.console, report, options.restore);
  }
  if (session.options.json) session.console.print_json(options.group ? base::Json{{"members", records}} : records[0]);
}

void refuse_group(const ReadablePoints& points, const std::vector<KnownGroup>& groups, const std::string& name) {
  if (find_group_only(points, groups, name) == nullptr) return;
  throw base::Error(base::Fault::usage, fmt::format("'{}' is a group, not a restore point", name))
      .add_hint(fmt::format("icecore restore {} --group; or one of the points `icecore show {}` names", name, name));
}

ExitCode run(Session& session, const RestoreCommandOptions& options) {
  JobSession jobs(session);
  const OpenRepository open = open_repository(session, jobs.stop());
  const ReadablePoints points = read_points(session.console, *open.repository);
  const std::vector<KnownGroup> groups = known_groups(*open.repository, points);
  if (!options.group) refuse_group(points, groups, options.point);
  const std::vector<job::RestoreReport> reports = [&] {
    const base::ScopeExit clear([&] { jobs.progress().clear(); });
    if (options.group) {
      const auto group = group_named(points, groups, options.point);
      return restore_group(jobs, *open.repository, points, group, options.restore);
    }
    const repository::Manifest& point = find_point(points, options.point);
    return std::vector{job::run_restore(jobs.context(), *open.repository, point, options.restore)};
  }();
  tell(session, options, reports);
  return exit_code_of(reports, options.restore);
}

}  // namespace

Command make_restore_command() {
  return make_command<RestoreCommandOptions>(
      {.name = "restore",
       .summary = "Bring a restore point back",
       .description =
           "Writes the disks of a restore point and defines the domain on them. Without --as or --replace the domain "
           "comes back under its own name, which must be free. Nothing that exists or is in use is written over; with "
           "--replace the old files give way only when the new ones are complete. A point with the guest's memory goes "
           "on where it was. What keeps "
           "this host from running the domain (machine, CPU, firmware, networks, devices) is found before anything is "
           "written. A block device is written in place, "
           "after "
           "all files: one that is not finished holds neither its old content nor the disk. POINT is named as in "
           "`icecore show`.",
       .examples = {{"sudo icecore restore latest --as web1-copy --to /var/lib/libvirt/images --start",
                     "a second domain beside the first, started"},
                    {"sudo icecore restore web1@2026-11-21T09:30 --replace", "the domain as it was at that time (UTC)"},
                    {"sudo icecore restore web1 --group --replace --start", "web1 and all that were backed up with it"},
                    {"sudo icecore restore 3f2a9c1e --disks-only --disk vda --to /tmp", "one disk as a file"},
                    {"sudo icecore restore web1 --disk-path vda=/dev/vg1/web1 --overwrite-device --pool default",
                     "vda onto that volume, the other disks into the pool 'default'"},
                    {"sudo icecore restore web1 --to /srv/vm --map-network lan=default --map-network br0=bridge:br1",
                     "on a host whose networks have other names"},
                    {"sudo icecore restore web1 --as web1-copy --to /var/lib/libvirt/images --dry-run",
                     "what would be defined and written"}},
       .json = {{"members[]", "with --group only: a record as follows of each"},
                {"point", "its id"},
                {"domain, domain_uuid", "as defined; empty with --disks-only"},
                {"disks[]", "target, path, format, size, replaces (what is at path), bytes_written, verified"},
                {"files[]", "kind (nvram, tpm, kernel, ...), path, replaces, verified"},
                {"xml_diff", "the replaced domain's XML, else the point's, against the one defined, unified"},
                {"notes[]", "what a person should know"},
                {"findings[]",
                 "severity (problem, warning), what, cure: why this host cannot run the domain, or might not"},
                {"dry_run, started, with_memory", "true or false; with its memory a guest goes on where it was"},
                {"duration_ms", "of the whole restore"}}},
      declare, run);
}

}  // namespace icecore::cli
