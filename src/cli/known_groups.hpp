// SPDX-License-Identifier: Apache-2.0
// The groups of a repository, as its points and its group objects tell, and as people and programs read them.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "cli/command.hpp"
#include "cli/readable_points.hpp"
#include "repository/group.hpp"

namespace icecore::cli {

struct KnownGroup {
  repository::ManifestGroup group;
  base::Timestamp time{};       // of its first point
  bool stated = false;          // its object is there: all its points were published
  std::set<std::string> there;  // ids of the points that are there and can be read
  bool whole() const noexcept { return there.size() == group.members.size(); }
};

// All that a point is there of, oldest first. What an older icecore did not record of a member is what its point says.
std::vector<KnownGroup> known_groups(repository::Repository& repository, const ReadablePoints& points);

// The one whose id begins so, 4 digits or more; null: none. Fault::usage when several do.
const KnownGroup* find_group(const std::vector<KnownGroup>& groups, const std::string& name);

// The same, where the name of a point would do too: null when it is one of those. Fault::usage when it begins the ids
// of both.
const KnownGroup* find_group_only(const ReadablePoints& points, const std::vector<KnownGroup>& groups,
                                  const std::string& name);

// By id of a point: "3f2a9c1e", or "3f2a9c1e (1 of 2)" when not all are there.
std::map<std::string, std::string> group_labels(const std::vector<KnownGroup>& groups);

// `pending`: ids of points that wait for their upload.
std::string format_group(const KnownGroup& known, const std::set<std::string>& pending);
base::Json group_record(const KnownGroup& known, const std::set<std::string>& pending);
// What group_record() holds, each name after `prefix`.
std::vector<JsonField> group_fields(const std::string& prefix);

}  // namespace icecore::cli
