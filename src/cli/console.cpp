// SPDX-License-Identifier: Apache-2.0
#include "cli/console.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <iostream>

namespace icecore::cli {

namespace {

unsigned terminal_width() {
  constexpr unsigned k_width_unknown = 80;
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : k_width_unknown;
}

}  // namespace

Console process_console() { return {std::cout, std::cerr, ::isatty(STDERR_FILENO) == 1, &terminal_width}; }

}  // namespace icecore::cli
