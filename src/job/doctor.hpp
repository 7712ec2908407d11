// SPDX-License-Identifier: Apache-2.0
// Read-only diagnosis of this host: programs, libvirt, journal, overlays, guests, repository; staging_check.hpp:
// staging.
#pragma once

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
// `repository` may be null.
std::vector<Finding> diagnose(const JobContext& context, repository::Repository* repository);

}  // namespace icecore::job
