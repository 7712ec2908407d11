// SPDX-License-Identifier: Apache-2.0
// Restore points as people and programs read them. Pure: manifests in, text or JSON out. Times are UTC
// everywhere, so that what `list` prints can be typed after DOMAIN@.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/id.hpp"
#include "base/json.hpp"
#include "cli/command.hpp"
#include "repository/manifest.hpp"
#include "repository/protection.hpp"

namespace icecore::cli {

using base::short_id;

// "2026-11-21T09:30:12Z"
std::string point_time(base::Timestamp time);

// The sum of the disks' virtual sizes.
std::uint64_t total_size(const repository::Manifest& point);

// One line a point, in the order given. Protected ones are marked in a column that is there when any is; so is what
// `groups` says of points, by their ids.
std::string format_point_list(const std::vector<repository::Manifest>& points,
                              const repository::Protections& protections = {},
                              const std::map<std::string, std::string>& groups = {});

// Everything known about a point but its domain XML.
std::string format_point(const repository::Manifest& point, const repository::Protections& protections = {});

// A point as in every --json record.
base::Json point_record(const repository::Manifest& point, const repository::Protections& protections = {});
// What point_record() holds, each name after `prefix`.
std::vector<JsonField> point_fields(const std::string& prefix);

}  // namespace icecore::cli
