// SPDX-License-Identifier: Apache-2.0
// The restore points of a repository, though some cannot be read: one damaged or newer manifest must not stand in the
// way of the others.
#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"
#include "cli/console.hpp"
#include "repository/manifest.hpp"

namespace icecore::cli {

struct ReadablePoints {
  std::vector<repository::Manifest> points;  // oldest first
  std::vector<repository::DamagedManifest> damaged;
  std::string unreached;  // why only the points in staging are here; empty: all are
};

// Names on standard error what cannot be read or asked for, a line each.
ReadablePoints read_points(Console& console, repository::Repository& repository);

// As job::find_point(); Fault::corrupt when `name` is the id of a point that cannot be read, unavailable when it may be
// where nobody answers. It lives in `points`.
const repository::Manifest& find_point(const ReadablePoints& points, const std::string& name);

// What it means that something is not among the points: `not_found`, or that nobody could be asked.
base::Error absence(const ReadablePoints& points, const base::Error& not_found);

}  // namespace icecore::cli
