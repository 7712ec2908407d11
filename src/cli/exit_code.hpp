// SPDX-License-Identifier: Apache-2.0
// How icecore ends: one table, from which help prints and which README repeats (a test compares them).
#pragma once

#include <span>
#include <string_view>

#include "base/error.hpp"

namespace icecore::cli {

enum class ExitCode {
  ok = 0,
  failure = 1,
  usage = 2,
  partial = 3,
  not_found = 4,
  busy = 5,
  unavailable = 6,
  denied = 7,
  corrupt = 8,
  no_space = 9,
  conflict = 10,
  cancelled = 130,  // 128 + SIGINT, as a shell reports it
};

struct ExitCodeMeaning {
  ExitCode code;
  std::string_view meaning;
};

// By number.
std::span<const ExitCodeMeaning> exit_codes() noexcept;

ExitCode exit_code_of(base::Fault fault) noexcept;

}  // namespace icecore::cli
