// SPDX-License-Identifier: Apache-2.0
// Names of domains, paths and URLs in commands that a person is told to type.
#pragma once

#include <string>
#include <string_view>

namespace icecore::base {

// The text as a shell reads it back as one word: in quotes where that needs any.
std::string shell_word(std::string_view text);

// The same for a name that ends a command: behind "--" when it would be read as an option.
std::string shell_operand(std::string_view text);

}  // namespace icecore::base
