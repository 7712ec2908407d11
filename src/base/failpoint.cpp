// SPDX-License-Identifier: Apache-2.0
#include "base/failpoint.hpp"

#include <fcntl.h>
#include <signal.h>

#include <charconv>
#include <cstdlib>
#include <map>
#include <string>

#include "base/error.hpp"
#include "base/guarded.hpp"
#include "base/handle.hpp"

namespace icecore::base {

namespace {

struct Armed {
  std::string action;
  int at_passing = 1;
  int passings = 0;
};
using Table = std::map<std::string, Armed, std::less<>>;

Armed parse_action(std::string_view text) {
  Armed armed;
  const auto colon = text.find(':');
  armed.action = text.substr(0, colon);
  if (colon != std::string_view::npos) {
    std::from_chars(text.data() + colon + 1, text.data() + text.size(), armed.at_passing);
  }
  return armed;
}

Table parse_table(std::string_view text) {
  Table table;
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(item.size() + 1, text.size()));
    const auto equals = item.find('=');
    if (equals != std::string_view::npos)
      table[std::string(item.substr(0, equals))] = parse_action(item.substr(equals + 1));
  }
  return table;
}

void announce(std::string_view name) {
  if (const char* path = std::getenv("ICECORE_FAILPOINT_FILE")) {
    const Fd fd(::open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    static_cast<void>(!::write(fd.get(), name.data(), name.size()));
  }
}

// The action to take now, or empty.
std::string due_action(Guarded<Table>& table, std::string_view name) {
  return table.with([&](Table& armed) -> std::string {
    const auto found = armed.find(name);
    if (found == armed.end() || ++found->second.passings != found->second.at_passing) return {};
    return found->second.action;
  });
}

}  // namespace

void failpoint(std::string_view name) {
  static const char* const environment = std::getenv("ICECORE_FAILPOINTS");
  if (environment == nullptr) return;
  static Guarded<Table> table(parse_table(environment));
  const std::string action = due_action(table, name);
  if (action.empty()) return;
  announce(name);
  if (action == "kill") ::raise(SIGKILL);
  if (action == "pause") ::raise(SIGSTOP);
  if (action == "error") fail(Fault::unavailable, "failpoint '{}'", name);
}

}  // namespace icecore::base
