// SPDX-License-Identifier: Apache-2.0
// Are the objects of groups true? Each says that all points of one instant are there.
#pragma once

#include <vector>

#include "maintenance/survey.hpp"
#include "repository/manifest.hpp"

namespace icecore::maintenance {

// Those that cannot be read, or name points that are not there. Points that go meanwhile are no finding: they take the
// group's object with them.
std::vector<BadObject> check_groups(repository::Repository& repository);

// Removes those, but for ones of a later version, and returns them; writes the ones that are missing though all points
// of their groups are among `points`. Nothing is lost by it: points say the same of their group.
std::vector<BadObject> settle_groups(repository::Repository& repository,
                                     const std::vector<repository::Manifest>& points);

}  // namespace icecore::maintenance
