// SPDX-License-Identifier: Apache-2.0
// An explanation as text for people and as a record.
#pragma once

#include <vector>

#include "base/json.hpp"
#include "cli/command.hpp"
#include "cli/console.hpp"
#include "job/explanation.hpp"

namespace icecore::cli {

void print_explanation(Console& console, const job::Explanation& explanation);

base::Json explanation_record(const job::Explanation& explanation);
std::vector<JsonField> explanation_fields();

}  // namespace icecore::cli
