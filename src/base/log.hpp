// SPDX-License-Identifier: Apache-2.0
// Log lines to standard error. Progress and results are not logs: the CLI prints those.
#pragma once

#include <fmt/core.h>

#include <string_view>

namespace icecore::base {

enum class LogLevel { quiet, normal, verbose, debug };

// Called once by main before any thread starts. quiet: errors only; normal: warnings too.
void set_log_level(LogLevel level);

void log_line(LogLevel level, std::string_view prefix, std::string_view text);

template <typename... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::normal, "warning", fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::verbose, "info", fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::debug, "debug", fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace icecore::base
