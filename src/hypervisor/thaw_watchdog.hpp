// SPDX-License-Identifier: Apache-2.0
// The thaw watchdog: a process with a libvirt connection of its own that thaws a guest when we do not, because we are
// late, hung or dead.
#pragma once

#include <string>
#include <vector>

namespace icecore::hypervisor {

// Its exit codes.
inline constexpr int k_watchdog_not_needed = 0;
inline constexpr int k_watchdog_thawed = 3;
inline constexpr int k_watchdog_could_not_thaw = 4;

// The process: URI, UUID, milliseconds. The dialog on its standard input and output:
//   > ready       connected, may be relied on
//   < freezing    the clock starts
//   < thawed      all is well; ends
// End of input or the deadline after "freezing" make it say "fired" and thaw, again and again until the agent obeys,
// the domain stops or k_persistence is over.
int thaw_watchdog_main(const std::vector<std::string>& arguments);

}  // namespace icecore::hypervisor
