// SPDX-License-Identifier: Apache-2.0
// "Did you mean ...?": the known name a mistyped word was probably meant to be.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace icecore::base {

// The candidate with the fewest edits from `word`, or "" when none is near: more than a third of the letters
// differ. Among equals the first wins.
std::string nearest_name(std::string_view word, std::span<const std::string> candidates);

}  // namespace icecore::base
