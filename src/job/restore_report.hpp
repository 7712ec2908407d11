// SPDX-License-Identifier: Apache-2.0
// A restore that was planned, in the words of its report: what a dry run shows.
#pragma once

#include "job/restore_plan.hpp"

namespace icecore::job {

RestoreReport describe_restore(const PreparedRestore& prepared);

}  // namespace icecore::job
