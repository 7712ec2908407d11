// SPDX-License-Identifier: Apache-2.0
#include "cli/restore_group.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "cli/point_output.hpp"
#include "hypervisor/connection.hpp"
#include "hypervisor/domain.hpp"
#include "hypervisor/network_map.hpp"
#include "job/restore_checks.hpp"
#include "job/restore_room.hpp"

namespace icecore::cli {

namespace {

using base::Fault;
using repository::Manifest;

std::vector<const Manifest*> members_of(const ReadablePoints& known, const repository::ManifestGroup& group) {
  std::vector<const Manifest*> members;
  std::string missing;
  for (const auto& member : group.members) {
    const auto has_id = [&](const Manifest& candidate) { return candidate.id == member.point_id; };
    const auto at = std::find_if(known.points.begin(), known.points.end(), has_id);
    if (at != known.points.end()) {
      members.push_back(&*at);
      continue;
    }
    missing += fmt::format("{}{} of '{}'", missing.empty() ? "" : ", ", short_id(member.point_id), member.domain_name);
  }
  if (missing.empty()) return members;
  base::Error gone(Fault::not_found,
                   fmt::format("of the {} restore points of group {} these do not exist (any more): {}",
                               group.members.size(), short_id(group.id), missing));
  throw absence(known, members.empty() ? gone : gone.add_hint("restore the others one by one, without --group"));
}

void require_one_for_all(const job::RestoreOptions& options) {
  if (options.new_name) base::fail(Fault::usage, "--as names one domain; it does not go with --group");
  if (!options.disks.empty() || !options.disk_paths.empty() || !options.disk_formats.empty())
    base::fail(Fault::usage, "--disk, --disk-path and --disk-format mean one domain's; they do not go with --group");
  if (options.disks_only && options.pool)
    base::fail(Fault::usage, "--disks-only of a group needs --to: each domain's disks get a folder of their own");
}

void start_all(JobSession& jobs, const std::vector<job::RestoreReport>& reports) {
  hypervisor::Connection connection(jobs.context().connect_uri);
  for (const job::RestoreReport& report : reports) {
    base::with_context([&] { connection.domain(report.domain_uuid).start(); },
                       "domain '{}' is restored but does not start", report.domain_name);
  }
}

std::set<std::string> networks_of(const Manifest& member) {
  return hypervisor::mappable_networks(member.inactive_xml.empty() ? member.live_xml : member.inactive_xml);
}

// A network that is mapped is one of some member's, and seldom of each.
void require_mappable_networks(const std::vector<const Manifest*>& members, const job::RestoreOptions& options) {
  std::set<std::string> known;
  for (const Manifest* member : members) known.merge(networks_of(*member));
  for (const hypervisor::NetworkMapping& mapping : options.networks) hypervisor::require_mappable(mapping, known);
}

// Disk files alone are named by their targets: each domain has a folder of its own.
job::RestoreOptions options_for(const Manifest& member, job::RestoreOptions options) {
  if (options.disks_only && options.to) *options.to /= member.domain_name;
  // Of disks alone a mapping is refused, which is said elsewhere.
  if (options.disks_only || options.networks.empty()) return options;
  const std::set<std::string> known = networks_of(member);
  std::erase_if(options.networks, [&](const auto& mapping) { return !known.contains(mapping.from); });
  return options;
}

// With the number of those that are there already.
job::RestoreReport restore_next(JobSession& jobs, repository::Repository& repository, const Manifest& member,
                                const job::RestoreOptions& options, std::size_t before) {
  const auto restore = [&] {
    return job::run_restore(jobs.context(), repository, member, options_for(member, options));
  };
  return before == 0 ? restore() : base::with_context(restore, "the first {} of the group are restored", before);
}

}  // namespace

repository::ManifestGroup group_named(const ReadablePoints& points, const std::vector<KnownGroup>& groups,
                                      const std::string& name) {
  if (const KnownGroup* const known = find_group_only(points, groups, name)) return known->group;
  const Manifest& point = find_point(points, name);
  if (!point.group) base::fail(Fault::usage, "restore point {} is not one of a group", short_id(point.id));
  return *point.group;
}

std::vector<job::RestoreReport> restore_group(JobSession& jobs, repository::Repository& repository,
                                              const ReadablePoints& points, const repository::ManifestGroup& group,
                                              const job::RestoreOptions& options) {
  require_one_for_all(options);
  const std::vector<const Manifest*> members = members_of(points, group);
  if (!options.disks_only) require_mappable_networks(members, options);
  job::RestoreOptions each = options;
  each.start = false;
  each.dry_run = true;
  std::vector<job::RestoreReport> reports;
  for (const Manifest* member : members) reports.push_back(restore_next(jobs, repository, *member, each, 0));
  std::vector<std::vector<job::RoomNeed>> room;
  for (const job::RestoreReport& report : reports) room.push_back(report.room);
  job::require_room(room);
  if (options.dry_run) return reports;
  for (const job::RestoreReport& report : reports) {
    if (options.allow_incompatible) break;
    base::with_context([&] { job::require_compatible(report.findings); }, "restore of '{}'", report.domain_name);
  }
  each.dry_run = false;
  for (std::size_t i = 0; i < members.size(); ++i) reports[i] = restore_next(jobs, repository, *members[i], each, i);
  if (options.start) start_all(jobs, reports);
  return reports;
}

}  // namespace icecore::cli
