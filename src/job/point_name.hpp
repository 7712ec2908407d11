// SPDX-License-Identifier: Apache-2.0
// How a person names a restore point: an id prefix (4 digits or more), `latest`, a domain's name (its latest),
// or DOMAIN@TIME (the newest at or before TIME; a day, minute or second means all of it).
#pragma once

#include <string>
#include <vector>

#include "repository/manifest.hpp"

namespace icecore::job {

// The point meant, of those given (any order). Fault::not_found, Fault::usage when a prefix
// fits several.
const repository::Manifest& find_point(const std::vector<repository::Manifest>& points, const std::string& name);

}  // namespace icecore::job
