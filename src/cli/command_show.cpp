// SPDX-License-Identifier: Apache-2.0
// `icecore show POINT`.
#include <fmt/core.h>

#include "base/error.hpp"
#include "cli/commands.hpp"
#include "cli/known_groups.hpp"
#include "cli/point_output.hpp"
#include "cli/readable_points.hpp"
#include "cli/upload_session.hpp"
#include "hypervisor/domain_edit.hpp"
#include "repository/damage_mark.hpp"

namespace icecore::cli {

namespace {

struct ShowOptions {
  std::string point;
  bool xml = false;
  bool security_info = false;
};

void declare(WordList& words, ShowOptions& options) {
  words.positional("POINT", "id prefix (of a group, too), latest, DOMAIN or DOMAIN@TIME", Count::one,
                   WordList::into(options.point));
  words.flag("--xml", "print the domain's XML as it was, and nothing else", options.xml);
  words.flag("--security-info", "with --xml or --json: the passwords of the domain's screens in the XML, too",
             options.security_info);
}

// What a repair or a verify noted.
base::Json lost_ranges(repository::Repository& repository, const repository::Manifest& point) {
  const std::uint64_t block_bytes = repository.config().block_bytes;
  base::Json lost = base::Json::array();
  const auto damage = repository::load_damage(repository, point.id);
  for (const auto& disk : damage ? damage->disks : std::vector<repository::DamagedDisk>()) {
    for (const repository::BlockRange& range : disk.lost) {
      lost.push_back(
          {{"disk", disk.disk}, {"offset", range.first * block_bytes}, {"length", range.count * block_bytes}});
    }
  }
  return lost;
}

void print_losses(Console& console, const base::Json& lost) {
  if (!lost.empty()) console.print("\nLOST, as was noted (`icecore restore --allow-damaged` restores the rest):");
  for (const base::Json& range : lost) {
    console.print(fmt::format("  {}  {} bytes at byte {}", range["disk"].get<std::string>(),
                              range["length"].get<std::uint64_t>(), range["offset"].get<std::uint64_t>()));
  }
}

void show_group(Session& session, const KnownGroup& known, const std::set<std::string>& pending, bool xml) {
  if (xml) {
    base::Error error(base::Fault::usage, "a group has no XML of its own");
    throw error.add_hint("icecore show --xml with one of its points");
  }
  if (session.options.json) return session.console.print_json(group_record(known, pending));
  session.console.out << format_group(known, pending);
}

// Of a point's XML, what was asked to be seen. Empty stays empty: a transient domain had no persistent one.
std::string shown_xml(Session& session, const std::string& xml, const ShowOptions& options) {
  if (options.security_info || xml.empty()) return xml;
  std::string shown = hypervisor::without_secrets(xml);
  if (shown != xml)
    session.console.err << "icecore: the password of a screen is left out of the XML; --security-info prints it\n";
  return shown;
}

ExitCode show_point(Session& session, const OpenRepository& open, const repository::Manifest& point,
                    const ShowOptions& options) {
  const repository::Protections protections = repository::list_protections(*open.repository);
  const bool pending = pending_points(*open.storage).contains(point.id);
  if (session.options.json) {
    base::Json record = point_record(point, protections);
    record["pending"] = pending;
    record["live_xml"] = shown_xml(session, point.live_xml, options);
    record["inactive_xml"] = shown_xml(session, point.inactive_xml, options);
    record["lost"] = lost_ranges(*open.repository, point);
    session.console.print_json(record);
  } else if (options.xml) {
    const std::string& xml = point.inactive_xml.empty() ? point.live_xml : point.inactive_xml;
    session.console.print(shown_xml(session, xml, options));
  } else {
    session.console.out << format_point(point, protections);
    if (pending) session.console.print("pending upload: complete in staging and not yet on the remote");
    print_losses(session.console, lost_ranges(*open.repository, point));
  }
  return ExitCode::ok;
}

ExitCode run(Session& session, const ShowOptions& options) {
  const OpenRepository open = open_repository(session);
  const ReadablePoints points = read_points(session.console, *open.repository);
  const std::vector<KnownGroup> groups = known_groups(*open.repository, points);
  const KnownGroup* const group = find_group_only(points, groups, options.point);
  if (group == nullptr) return show_point(session, open, find_point(points, options.point), options);
  show_group(session, *group, pending_points(*open.storage), options.xml);
  return ExitCode::ok;
}

std::vector<JsonField> json_fields() {
  std::vector<JsonField> fields = point_fields("");
  fields.push_back({"pending", "true: complete in staging and not yet on the remote"});
  fields.push_back(
      {"live_xml, inactive_xml", "the domain's XML, running and persistent, as for --xml; empty when it had none"});
  fields.push_back({"lost[]", "blocks the point lost, as a repair or verify noted: disk, offset, length (bytes)"});
  for (JsonField& field : group_fields("of a group: ")) fields.push_back(std::move(field));
  return fields;
}

}  // namespace

Command make_show_command() {
  return make_command<ShowOptions>(
      {.name = "show",
       .summary = "Show everything about a restore point",
       .description = "Shows one restore point: how consistent it is, how long the guest was frozen, its disks and "
                      "what they took. POINT is the beginning of an id (4 digits or more), `latest`, a domain's name "
                      "for its latest, or DOMAIN@TIME for the newest at or before that time (UTC). The id of a group, "
                      "which `icecore list` prints, shows the points of that instant, and which of them are there.",
       .examples = {{"icecore show latest", "the newest point of all"},
                    {"icecore show web1@2026-11-21", "the newest of web1 on or before that day"},
                    {"icecore show 9c1e44d0", "a group by its id"},
                    {"icecore show 3f2a --xml --security-info > web1.xml",
                     "the domain's XML as it was, to define it from"}},
       .json = json_fields()},
      declare, run);
}

}  // namespace icecore::cli
