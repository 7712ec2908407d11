// SPDX-License-Identifier: Apache-2.0
// Where a command writes: results to standard output, everything else to standard error. Facts about the
// terminal are values, so that tests choose them.
#pragma once

#include <ostream>
#include <string_view>

#include "base/json.hpp"

namespace icecore::cli {

struct Console {
  std::ostream& out;
  std::ostream& err;
  bool err_is_terminal = false;
  // Columns of the terminal now; it may be resized while we run.
  unsigned (*width)() = [] { return 80U; };

  void print(std::string_view line) { out << line << '\n'; }
  void print_json(const base::Json& record) { out << record.dump(2) << '\n'; }
};

// The process's own standard output and error.
Console process_console();

}  // namespace icecore::cli
