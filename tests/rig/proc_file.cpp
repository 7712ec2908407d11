// SPDX-License-Identifier: Apache-2.0
#include "rig/proc_file.hpp"

#include <fstream>
#include <sstream>

namespace icecore::rig {

// Reading by way of a stream's buffer alone would throw when the process ends just then (ESRCH).
std::string proc_file(const std::string& pid, const std::string& name) {
  std::ostringstream text;
  text << std::ifstream("/proc/" + pid + "/" + name, std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace icecore::rig
