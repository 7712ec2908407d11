// SPDX-License-Identifier: Apache-2.0
#include "cli/environment.hpp"

#include <cstdlib>

namespace icecore::cli {

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0') return {};
    return value;
  };
}

}  // namespace icecore::cli
