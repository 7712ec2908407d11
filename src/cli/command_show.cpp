// SPDX-License-Identifier: Apache-2.0
// `icecore show POINT`.
#include "cli/commands.hpp"
#include "cli/point_output.hpp"
#include "cli/readable_points.hpp"
#include "cli/upload_session.hpp"

namespace icecore::cli {

namespace {

struct ShowOptions {
  std::string point;
  bool xml = false;
};

void declare(WordList& words, ShowOptions& options) {
  words.positional("POINT", "id prefix, latest, DOMAIN or DOMAIN@TIME", Count::one, WordList::into(options.point));
  words.flag("--xml", "print the domain's XML as it was, and nothing else", options.xml);
}

ExitCode run(Session& session, const ShowOptions& options) {
  const OpenRepository open = open_repository(session);
  const ReadablePoints points = read_points(session.console, *open.repository);
  const repository::Manifest& point = find_point(points, options.point);
  const repository::Protections protections = repository::list_protections(*open.repository);
  const bool pending = pending_points(*open.storage).contains(point.id);
  if (session.options.json) {
    base::Json record = point_record(point, protections);
    record["pending"] = pending;
    record["live_xml"] = point.live_xml;
    record["inactive_xml"] = point.inactive_xml;
    session.console.print_json(record);
  } else if (options.xml) {
    session.console.print(point.inactive_xml.empty() ? point.live_xml : point.inactive_xml);
  } else {
    session.console.out << format_point(point, protections);
    if (pending) session.console.print("pending upload: complete in staging and not yet on the remote");
  }
  return ExitCode::ok;
}

std::vector<JsonField> json_fields() {
  std::vector<JsonField> fields = point_fields("");
  fields.push_back({"pending", "true: complete in staging and not yet on the remote"});
  fields.push_back({"live_xml, inactive_xml", "the domain's XML, running and persistent; empty when it had none"});
  return fields;
}

}  // namespace

Command make_show_command() {
  return make_command<ShowOptions>(
      {.name = "show",
       .summary = "Show everything about a restore point",
       .description = "Shows one restore point: how consistent it is, how long the guest was frozen, its disks and "
                      "what they took. POINT is the beginning of an id (4 digits or more), `latest`, a domain's name "
                      "for its latest, or DOMAIN@TIME for the newest at or before that time (UTC).",
       .examples = {{"icecore show latest", "the newest point of all"},
                    {"icecore show web1@2026-11-21", "the newest of web1 on or before that day"},
                    {"icecore show 3f2a --xml > web1.xml", "the domain's XML as it was"}},
       .json = json_fields()},
      declare, run);
}

}  // namespace icecore::cli
