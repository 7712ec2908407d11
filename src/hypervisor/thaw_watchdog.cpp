// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/thaw_watchdog.hpp"

#include <libvirt/libvirt.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <thread>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "hypervisor/domain.hpp"
#include "hypervisor/internal_command.hpp"

namespace icecore::hypervisor {

namespace {

using base::Fault;
using base::Milliseconds;

// A frozen guest is stuck for its users: as long as there is hope the agent comes back, we go on asking it.
constexpr Milliseconds k_persistence = std::chrono::minutes(10);
constexpr int k_agent_seconds = 5;

enum class Heard { line, end_of_input, deadline };

// Standard input, line by line, each wait bounded.
class Ear {
 public:
  Heard listen(std::string_view expected, Milliseconds deadline) {
    const base::Stopwatch watch;
    while (heard_.find(expected) == std::string::npos) {
      const Milliseconds left = deadline - watch.elapsed();
      if (left <= Milliseconds(0)) return Heard::deadline;
      pollfd fd{STDIN_FILENO, POLLIN, 0};
      if (::poll(&fd, 1, static_cast<int>(left.count())) <= 0) continue;
      std::array<char, 256> buffer;
      const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
      if (count <= 0) return Heard::end_of_input;
      heard_.append(buffer.data(), static_cast<std::size_t>(count));
    }
    return Heard::line;
  }

 private:
  std::string heard_;
};

void say(std::string_view line) { static_cast<void>(!::write(STDOUT_FILENO, line.data(), line.size())); }

// Our starter may be killed together with its process group or terminal; we must not.
void detach() {
  ::setsid();
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(number, SIG_IGN);
}

// True when the guest is thawed or has nothing left to thaw.
bool try_to_thaw(Domain& domain) {
  try {
    if (!domain.active()) return true;
    virDomainAgentSetResponseTimeout(domain.raw(), k_agent_seconds, 0);
    return virDomainFSThaw(domain.raw(), nullptr, 0, 0) >= 0;
  } catch (const base::Error& error) {
    base::log_debug("thaw watchdog: {}", error.what());
    return false;
  }
}

int thaw_until_done(Domain& domain) {
  const base::Stopwatch watch;
  for (Milliseconds pause(250); !try_to_thaw(domain); pause = std::min<Milliseconds>(pause * 2, Milliseconds(5000))) {
    if (watch.elapsed() > k_persistence) return k_watchdog_could_not_thaw;
    std::this_thread::sleep_for(pause);
  }
  return k_watchdog_thawed;
}

Milliseconds parse_deadline(const std::string& text) {
  long count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || count <= 0) {
    base::fail(Fault::usage, "'{}' is no number of milliseconds", text);
  }
  return Milliseconds(count);
}

}  // namespace

int thaw_watchdog_main(const std::vector<std::string>& arguments) {
  if (arguments.size() != 3) base::fail(Fault::usage, "{} takes a URI, a UUID and milliseconds", k_watchdog_command);
  const Milliseconds deadline = parse_deadline(arguments[2]);
  detach();
  Connection connection(arguments[0]);
  Domain domain(connection, arguments[1], arguments[1]);
  domain.raw();
  say("ready\n");
  Ear ear;
  // Armed but never used: the freeze was given up before it began.
  if (ear.listen("freezing\n", k_persistence) != Heard::line) return k_watchdog_not_needed;
  if (ear.listen("thawed\n", deadline) == Heard::line) return k_watchdog_not_needed;
  say("fired\n");
  return thaw_until_done(domain);
}

}  // namespace icecore::hypervisor
