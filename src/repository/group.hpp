// SPDX-License-Identifier: Apache-2.0
// The objects groups/<time>-<id>: that all points of one instant are there. Each holds what its points say of their
// group, so that whoever publishes the last of them can write it. Written in FORMAT.md, "Group".
#pragma once

#include <string>
#include <vector>

#include "base/json.hpp"
#include "repository/manifest.hpp"

namespace icecore::repository {

// A group's record, in the manifests of its points and in its object; from there Fault::corrupt naming `what`.
base::Json to_json(const ManifestGroup& group);
ManifestGroup parse_group(const base::Json& json, std::string_view what);

// When the first of its snapshots was asked for; nothing: an older icecore did not record it, and the group has no
// object.
std::optional<base::Timestamp> time_of(const ManifestGroup& group);
// "groups/20261121T093000123Z-<id>"; empty: it has none.
std::string group_object(const ManifestGroup& group);

// Of these, what `place` lacks now.
std::vector<ManifestGroup::Member> missing_members(storage::Storage& place, const ManifestGroup& group);

// To be called after the point was published in `place`, under the same shared lock: when all points of its group are
// there, the group's object is there too when this returns. May be called any number of times, by several at once.
void complete_group(const KeyRing& keys, storage::Storage& place, const Manifest& point);

// Removes the point's manifest, and before it the object of its group, which would not be true any more.
void remove_manifest(storage::Storage& place, const Manifest& point);

// Removes the objects of groups that name this point, as far as they can be read.
void remove_groups_of(Repository& repository, const std::string& point_id);

// The names of all groups' objects, oldest first.
std::vector<std::string> list_group_objects(Repository& repository);
// Nothing: it was removed meanwhile. Fault::corrupt, Fault::usage (newer), naming the object.
std::optional<ManifestGroup> load_group(Repository& repository, const std::string& object);

struct StatedGroup {
  std::string object;
  ManifestGroup group;
};

// All that can be read, oldest first, without those removed meanwhile. What cannot goes to `damaged`, or is left out
// when that is null: points say the same of their group.
std::vector<StatedGroup> list_groups(Repository& repository, std::vector<DamagedManifest>* damaged = nullptr);

}  // namespace icecore::repository
