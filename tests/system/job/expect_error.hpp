// SPDX-License-Identifier: Apache-2.0
// What a user must see of every failure.
#pragma once

#include <string>

#include "rig/icecore_run.hpp"

namespace icecore::system_test {

// The exit code; one "icecore: " line, which has `named` in it; then one with the next command; no trace of a crash.
// Progress and notes may stand before them.
void expect_error(const rig::IcecoreOutcome& outcome, int exit_code, const std::string& named);

}  // namespace icecore::system_test
