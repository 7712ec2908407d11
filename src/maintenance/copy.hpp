// SPDX-License-Identifier: Apache-2.0
// Copies restore points from one repository into another. Their keys differ, so blocks get other names: what is copied
// is read, proved, named anew and stored unless it is there. No virtual machine is touched.
#pragma once

#include <string>
#include <vector>

#include "maintenance/watch.hpp"
#include "repository/manifest.hpp"

namespace icecore::maintenance {

struct CopiedPoint {
  std::string id;
  std::string domain_name;
  base::Timestamp time{};
  bool present = false;  // it was there already
  std::string problem;   // why it was not copied; empty: it was
};

struct CopyReport {
  std::vector<CopiedPoint> points;
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_new = 0;
  std::uint64_t bytes_stored = 0;
};

// A point keeps its id, time and domain; one that is there under these is not copied again. A point that cannot be read
// is a problem in the report and the others go on; a target that fails is thrown. Interrupted, the points copied so far
// are there. A group is stated there once all its points are. Takes a shared lock in both. Fault::usage when block
// sizes differ.
CopyReport copy_points(repository::Repository& source, repository::Repository& target,
                       const std::vector<repository::Manifest>& points, const Watch& watch);

}  // namespace icecore::maintenance
