// SPDX-License-Identifier: Apache-2.0
// Read-only diagnosis of this host: programs, libvirt, journal, overlays, bitmaps, repository; staging_check.hpp:
// staging.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "job/context.hpp"
#include "repository/repository.hpp"

namespace icecore::job {

enum class Severity { good, advice, problem };

struct Finding {
  Severity severity = Severity::good;
  std::string subject;  // "libvirt", "domain 'web1'", "job 3f2a..."
  std::string text;
  std::string hint;  // the next command, if there is one
};

// Never changes anything and never throws for what it finds: an unreachable libvirt is a finding.
// `repository` may be null. `known_repositories`: the ids of those this state folder has met.
std::vector<Finding> diagnose(const JobContext& context, repository::Repository* repository,
                              const std::set<std::string>& known_repositories);

}  // namespace icecore::job
