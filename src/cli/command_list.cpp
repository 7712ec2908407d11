// SPDX-License-Identifier: Apache-2.0
// `icecore list [DOMAIN]`.
#include <fmt/core.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/nearest_name.hpp"
#include "base/shell_word.hpp"
#include "cli/commands.hpp"
#include "cli/known_groups.hpp"
#include "cli/point_output.hpp"
#include "cli/readable_points.hpp"
#include "cli/upload_session.hpp"
#include "repository/damage_mark.hpp"

namespace icecore::cli {

namespace {

struct ListOptions {
  std::optional<std::string> domain;
};

void declare(WordList& words, ListOptions& options) {
  words.positional("DOMAIN", "only this domain's points, by name or UUID", Count::optional,
                   WordList::into(options.domain));
}

[[noreturn]] void fail_unknown_domain(const std::string& domain, const ReadablePoints& known) {
  std::vector<std::string> names;
  for (const repository::Manifest& point : known.points) names.push_back(point.domain_name);
  base::Error error(base::Fault::not_found, fmt::format("there is no restore point of '{}'", domain));
  const std::string near = base::nearest_name(domain, names);
  throw absence(known, error.add_hint(near.empty() ? "icecore list" : "icecore list " + base::shell_operand(near)));
}

void keep_domain(ReadablePoints& known, const std::string& domain) {
  std::vector<repository::Manifest>& points = known.points;
  const auto is_other = [&](const repository::Manifest& point) {
    return point.domain_name != domain && point.domain_uuid != domain;
  };
  if (std::all_of(points.begin(), points.end(), is_other)) fail_unknown_domain(domain, known);
  points.erase(std::remove_if(points.begin(), points.end(), is_other), points.end());
}

base::Json record_of(const std::string& url, const ReadablePoints& known, const repository::Protections& protections) {
  base::Json record = {{"repository", url},
                       {"points", base::Json::array()},
                       {"damaged", base::Json::array()},
                       {"unreached", known.unreached}};
  for (const auto& point : known.points) record["points"].push_back(point_record(point, protections));
  for (const auto& bad : known.damaged) record["damaged"].push_back({{"object", bad.object}, {"reason", bad.reason}});
  return record;
}

// What is not yet where it belongs.
void tell_pending(Console& console, const std::set<std::string>& pending) {
  for (const std::string& id : pending)
    console.err << fmt::format("icecore: {} is pending upload; see `icecore upload --help`\n", short_id(id));
}

// Those that are noted to have lost blocks.
std::vector<std::string> points_with_losses(repository::Repository& repository,
                                            const std::vector<repository::Manifest>& points) {
  const std::set<std::string> noted = repository::list_damaged_points(repository);
  std::vector<std::string> ids;
  for (const repository::Manifest& point : points) {
    if (noted.contains(point.id)) ids.push_back(point.id);
  }
  return ids;
}

// Those that any of the points belongs to.
base::Json group_records(const std::vector<KnownGroup>& groups, const std::vector<repository::Manifest>& points,
                         const std::set<std::string>& pending) {
  base::Json records = base::Json::array();
  for (const KnownGroup& known : groups) {
    const auto listed = [&](const repository::Manifest& point) { return known.there.contains(point.id); };
    if (std::any_of(points.begin(), points.end(), listed)) records.push_back(group_record(known, pending));
  }
  return records;
}

ExitCode run(Session& session, const ListOptions& options) {
  const OpenRepository open = open_repository(session);
  ReadablePoints known = read_points(session.console, *open.repository);
  const std::vector<repository::Manifest>& points = known.points;
  const std::vector<KnownGroup> groups = known_groups(*open.repository, known);
  const repository::Protections protections = repository::list_protections(*open.repository);
  if (options.domain) keep_domain(known, *options.domain);
  const std::set<std::string> pending = pending_points(*open.storage);
  const std::vector<std::string> lossy = points_with_losses(*open.repository, points);
  for (const std::string& id : lossy) {
    session.console.err << fmt::format("icecore: restore point {} has lost blocks; `icecore show {}` tells which\n",
                                       short_id(id), short_id(id));
  }
  if (session.options.json) {
    base::Json record = record_of(open.storage->url(), known, protections);
    record["pending"] = pending;
    record["lossy"] = lossy;
    record["groups"] = group_records(groups, points, pending);
    session.console.print_json(record);
  } else if (points.empty()) {
    session.console.print(fmt::format("no restore points in {} yet", open.storage->url()));
  } else {
    session.console.out << format_point_list(points, protections, group_labels(groups));
  }
  if (!session.options.quiet) tell_pending(session.console, pending);
  return known.damaged.empty() ? ExitCode::ok : ExitCode::corrupt;
}

std::vector<JsonField> json_fields() {
  std::vector<JsonField> fields = {{"repository", "its URL"}};
  for (JsonField& field : point_fields("points[].")) fields.push_back(std::move(field));
  fields.push_back({"pending[]", "ids of points that are complete in staging and not yet on the remote"});
  fields.push_back({"lossy[]", "ids of points that have lost blocks, as a repair or verify noted"});
  for (JsonField& field : group_fields("groups[].")) fields.push_back(std::move(field));
  fields.push_back({"damaged[]", "points that cannot be read: object, reason"});
  fields.push_back({"unreached", "why only points in staging are listed; empty when all are"});
  return fields;
}

}  // namespace

Command make_list_command() {
  return make_command<ListOptions>(
      {.name = "list",
       .summary = "List the restore points of a repository",
       .description = "Lists restore points, oldest first. Times are UTC, as DOMAIN@TIME reads them. A point that "
                      "cannot be read is named on standard error and the exit code is 8.",
       .examples = {{"icecore list -r /var/backups/icecore --key-file /etc/icecore/repository.key", "all points"},
                    {"icecore list web1 --json",
                     "one domain's, as a record, with the repository from the environment"}},
       .json = json_fields()},
      declare, run);
}

}  // namespace icecore::cli
