// SPDX-License-Identifier: Apache-2.0
// Text in aligned columns for people. Widths are counted in code points, so names in any script line up.
#pragma once

#include <string>
#include <vector>

namespace icecore::cli {

enum class Align { left, right };

struct Column {
  std::string title;
  Align align = Align::left;
};

// Title line and rows, two spaces between columns, no spaces at line ends, each line ending in a break.
// Control characters in cells become '?': a domain's name cannot move the cursor.
std::string format_table(const std::vector<Column>& columns, const std::vector<std::vector<std::string>>& rows);

// "name:  value" lines, the values aligned; lines with an empty name continue the one above.
std::string format_facts(const std::vector<std::pair<std::string, std::string>>& facts);

}  // namespace icecore::cli
