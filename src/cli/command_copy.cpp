// SPDX-License-Identifier: Apache-2.0
// `icecore copy --from URL [POINT...]`.
#include <fmt/core.h>

#include <algorithm>

#include "base/bytes.hpp"
#include "base/handle.hpp"
#include "cli/commands.hpp"
#include "cli/maintenance_session.hpp"
#include "cli/point_output.hpp"
#include "job/point_name.hpp"
#include "maintenance/copy.hpp"

namespace icecore::cli {

namespace {

using maintenance::CopyReport;
using repository::Manifest;

struct CopyCommandOptions {
  std::vector<std::string> points;
  std::optional<std::string> domain;
  std::string from;
  std::filesystem::path from_key_file;
};

void declare(WordList& words, CopyCommandOptions& options) {
  words.positional("POINT", "as in `icecore show`, there; none: all points", Count::any,
                   WordList::into(options.points));
  words.option("--from", "URL", "repository to copy out of (ICECORE_FROM_REPOSITORY)", WordList::into(options.from));
  words.option("--from-key-file", "FILE",
               "key that unlocks it (ICECORE_FROM_KEY_FILE, ICECORE_FROM_PASSPHRASE_FILE, _COMMAND)",
               WordList::into(options.from_key_file));
  words.option("--domain", "DOMAIN", "only this domain's points, by name or UUID", WordList::into(options.domain));
}

OpenRepository open_source(const Session& session, const CopyCommandOptions& options, const std::stop_token& stop) {
  // ICECORE_KEY_FILE is the target's; the source's variables are the same with FROM in their names.
  const Environment environment = [&session](const std::string& name) {
    constexpr std::string_view k_prefix = "ICECORE_";
    return session.environment("ICECORE_FROM_" + name.substr(name.starts_with(k_prefix) ? k_prefix.size() : 0));
  };
  const std::string url =
      options.from.empty() ? session.environment("ICECORE_FROM_REPOSITORY").value_or("") : options.from;
  if (url.empty()) {
    throw base::Error(base::Fault::usage, "no repository to copy out of is named")
        .add_hint("--from URL, or set ICECORE_FROM_REPOSITORY");
  }
  CredentialSources sources = credential_sources(session, stop);
  sources.environment = environment;
  sources.key_file = options.from_key_file.empty()
                         ? std::filesystem::path(session.environment("ICECORE_FROM_KEY_FILE").value_or(""))
                         : options.from_key_file;
  return base::with_context([&] { return open_directly(session, url, sources, stop); }, "--from");
}

using Unreadable = std::vector<repository::DamagedManifest>;

std::vector<Manifest> choose_points(repository::Repository& source, const CopyCommandOptions& options,
                                    Unreadable& unreadable) {
  std::vector<Manifest> points = repository::list_manifests(source, {}, &unreadable);
  if (options.domain) {
    std::erase_if(points, [&](const Manifest& point) {
      return point.domain_name != *options.domain && point.domain_uuid != *options.domain;
    });
    if (points.empty()) base::fail(base::Fault::not_found, "there is no restore point of '{}'", *options.domain);
  }
  if (options.points.empty()) return points;
  std::vector<Manifest> chosen;
  for (const std::string& name : options.points) chosen.push_back(job::find_point(points, name));
  return chosen;
}

base::Json record_of(const CopyReport& report, const Unreadable& unreadable) {
  base::Json points = base::Json::array();
  for (const maintenance::CopiedPoint& point : report.points) {
    points.push_back({{"id", point.id},
                      {"domain", point.domain_name},
                      {"time", base::format_time(point.time)},
                      {"present", point.present},
                      {"problem", point.problem}});
  }
  base::Json bad = base::Json::array();
  for (const auto& each : unreadable) bad.push_back({{"object", each.object}, {"reason", each.reason}});
  return {{"points", points},
          {"unreadable", bad},
          {"bytes_read", report.bytes_read},
          {"bytes_new", report.bytes_new},
          {"bytes_stored", report.bytes_stored}};
}

void print_report(Console& console, const CopyReport& report) {
  for (const maintenance::CopiedPoint& point : report.points) {
    const std::string name =
        fmt::format("{} of {} ({})", point.domain_name, point_time(point.time), short_id(point.id));
    if (!point.problem.empty()) {
      console.err << fmt::format("icecore: {} is not copied: {}\n", name, point.problem);
    } else {
      console.print(name + (point.present ? " is there already" : " is copied"));
    }
  }
  console.print(fmt::format("read {}, of these {} new, stored as {}", base::format_size(report.bytes_read),
                            base::format_size(report.bytes_new), base::format_size(report.bytes_stored)));
}

ExitCode run(Session& session, const CopyCommandOptions& options) {
  JobSession jobs(session);
  const OpenRepository target = open_directly(session, jobs.stop());
  const OpenRepository source = open_source(session, options, jobs.stop());
  Unreadable unreadable;
  const std::vector<Manifest> points = choose_points(*source.repository, options, unreadable);
  for (const auto& bad : unreadable) {
    session.console.err << fmt::format("icecore: '{}' cannot be read and is not copied: {}\n", bad.object, bad.reason);
  }
  const CopyReport report = [&] {
    const base::ScopeExit clear([&] { jobs.progress().clear(); });
    return maintenance::copy_points(*source.repository, *target.repository, points, make_watch(jobs));
  }();
  if (session.options.json) {
    session.console.print_json(record_of(report, unreadable));
  } else {
    print_report(session.console, report);
  }
  const bool all =
      unreadable.empty() && std::all_of(report.points.begin(), report.points.end(),
                                        [](const maintenance::CopiedPoint& point) { return point.problem.empty(); });
  return all ? ExitCode::ok : ExitCode::partial;
}

}  // namespace

Command make_copy_command() {
  return make_command<CopyCommandOptions>(
      {.name = "copy",
       .summary = "Copy restore points from another repository",
       .description = "Copies restore points of the repository named with --from into this one, with their ids and "
                      "times; those that "
                      "are here already are left out. Only what is not here is stored. No virtual machine is touched, "
                      "and the other "
                      "repository is only read (but for a lock). The other's passphrase, when it has one, comes from "
                      "ICECORE_FROM_PASSPHRASE_FILE, ICECORE_FROM_PASSPHRASE_COMMAND or the terminal. Exit code 3 when "
                      "some points "
                      "could not be read.",
       .examples = {{"icecore copy --from /mnt/usb/icecore --from-key-file usb.key", "all points of that repository"},
                    {"icecore copy --from /srv/old web1@2026-11-21 db", "these two"},
                    {"icecore copy --from /srv/old --domain web1", "one domain's"}},
       .json = {{"points[]", "id, domain, time, present (was here already), problem (empty: none)"},
                {"unreadable[]", "points there that cannot be read at all: object, reason"},
                {"bytes_read, bytes_new, bytes_stored", "read there, of these new here, and what those take"}}},
      declare, run);
}

}  // namespace icecore::cli
