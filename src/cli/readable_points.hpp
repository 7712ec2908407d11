// SPDX-License-Identifier: Apache-2.0
// The restore points of a repository, though some cannot be read: one damaged or newer manifest must not stand in the
// way of the others.
#pragma once

#include <string>
#include <vector>

#include "cli/console.hpp"
#include "repository/manifest.hpp"

namespace icecore::cli {

struct ReadablePoints {
  std::vector<repository::Manifest> points;  // oldest first
  std::vector<repository::DamagedManifest> damaged;
};

// Names on standard error what cannot be read, a line each.
ReadablePoints read_points(Console& console, repository::Repository& repository);

// As job::find_point(); Fault::corrupt when `name` is the id of a point that cannot be read. It lives in `points`.
const repository::Manifest& find_point(const ReadablePoints& points, const std::string& name);

}  // namespace icecore::cli
