// SPDX-License-Identifier: Apache-2.0
#include "cli/console.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>

#include "base/error.hpp"
#include "base/printable.hpp"

namespace icecore::cli {

namespace {

unsigned terminal_width() {
  constexpr unsigned k_width_unknown = 80;
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : k_width_unknown;
}

}  // namespace

void Console::print_surely(std::string_view text) {
  errno = 0;
  out << text << std::flush;
  if (out) return;
  const int why = errno;
  out.clear();
  base::fail_errno(why != 0 ? why : EIO, "write to standard output");
}

void Console::draw_line(std::string_view text) {
  (terminal != nullptr ? *terminal : err) << "\r\x1b[K" + base::printable(text) << std::flush;
}

Console process_console() { return {std::cout, std::cerr, ::isatty(STDERR_FILENO) == 1, &terminal_width}; }

}  // namespace icecore::cli
