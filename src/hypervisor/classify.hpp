// SPDX-License-Identifier: Apache-2.0
// Which disks of a domain a backup takes. Every disk gets a verdict and every verdict but `include` a reason made for
// people, so that no disk is ever left out in silence.
#pragma once

#include <string>
#include <string_view>

#include "hypervisor/domain_model.hpp"

namespace icecore::hypervisor {

enum class Verdict {
  include,
  skip,    // nothing of the guest's own is on it: a medium, an empty drive
  refuse,  // it holds data we cannot take this way: the user must leave the disk out by name, or change it
  busy,    // could be taken, but another block job is on it now
};
std::string_view to_string(Verdict verdict) noexcept;

struct DiskVerdict {
  Verdict verdict = Verdict::include;
  std::string reason;  // empty for include
};

// `running` says whether the domain is: only then a block job can be in the way.
DiskVerdict classify(const DiskModel& disk, bool running);

}  // namespace icecore::hypervisor
