// SPDX-License-Identifier: Apache-2.0
// Named places where tests make the program die, fail or wait. Off unless ICECORE_FAILPOINTS is set:
//   ICECORE_FAILPOINTS="backup.fact.snapshotted=kill,repository.index_written=error:3"
// Actions: kill (SIGKILL to ourselves), error (throws Fault::unavailable), pause (stops until SIGCONT after
// creating the file named by ICECORE_FAILPOINT_FILE), each optionally ":N" = at the N-th passing only.
#pragma once

#include <string_view>

namespace icecore::base {

// Costs one load of a static bool when ICECORE_FAILPOINTS is unset.
void failpoint(std::string_view name);

}  // namespace icecore::base
