// SPDX-License-Identifier: Apache-2.0
// What the kernel tells of a process. Processes end while they are looked at: that is no error.
#pragma once

#include <string>

namespace icecore::rig {

// /proc/PID/NAME, whole; empty when the process is gone.
std::string proc_file(const std::string& pid, const std::string& name);

}  // namespace icecore::rig
