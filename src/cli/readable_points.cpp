// SPDX-License-Identifier: Apache-2.0
#include "cli/readable_points.hpp"

#include <fmt/core.h>

#include "base/error.hpp"
#include "job/point_name.hpp"
#include "staging/spooled_storage.hpp"

namespace icecore::cli {

ReadablePoints read_points(Console& console, repository::Repository& repository) {
  ReadablePoints found;
  found.points = repository::list_manifests(repository, {}, &found.damaged);
  for (const repository::DamagedManifest& bad : found.damaged) {
    console.err << fmt::format("icecore: '{}' cannot be read: {}\n", bad.object, bad.reason);
  }
  if (staging::SpooledStorage* const spooled = staging::spooled(repository.storage()))
    found.unreached = spooled->trouble();
  if (!found.unreached.empty())
    console.err << fmt::format("icecore: only points in staging are known: {}\n", found.unreached);
  return found;
}

base::Error absence(const ReadablePoints& points, const base::Error& not_found) {
  if (points.unreached.empty()) return not_found;
  return base::Error(base::Fault::unavailable,
                     fmt::format("as far as staging knows {}, and the repository cannot be asked", not_found.what()))
      .add_hint("the same again once it answers");
}

const repository::Manifest& find_point(const ReadablePoints& points, const std::string& name) {
  try {
    return job::find_point(points.points, name);
  } catch (const base::Error& error) {
    if (error.fault() != base::Fault::not_found) throw;
    for (const repository::DamagedManifest& bad : points.damaged) {
      if (!repository::point_of_manifest(bad.object).starts_with(name)) continue;
      throw base::Error(base::Fault::corrupt, fmt::format("restore point {} cannot be read: {}", name, bad.reason))
          .add_hint("icecore list");
    }
    throw absence(points, error);
  }
}

}  // namespace icecore::cli
