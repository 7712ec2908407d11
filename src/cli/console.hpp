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
  std::ostream* terminal = nullptr;  // what `err` leads to in the end, for draw_line()

  void print(std::string_view line) { out << line << '\n'; }
  // For what must not be lost: flushed, and Fault::no_space, unavailable when it did not get out.
  void print_surely(std::string_view text);
  void print_json(const base::Json& record) {
    out << record.dump(2, ' ', false, base::Json::error_handler_t::replace) << '\n';
  }
  // On the terminal, in the place of the line that is there. One write, so that nothing flickers.
  void draw_line(std::string_view text);
};

// The process's own standard output and error.
Console process_console();

}  // namespace icecore::cli
