// SPDX-License-Identifier: Apache-2.0
// The process's environment as a value, so that tests bring their own.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace icecore::cli {

// The value of a variable; unset and empty are the same.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

Environment process_environment();

}  // namespace icecore::cli
