// SPDX-License-Identifier: Apache-2.0
// Freezing a guest's file systems through its agent. Whatever happens to us, a watchdog process started beforehand
// thaws at the hard cap; whatever the agent answered to the freeze, a thaw is sent.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/process.hpp"
#include "hypervisor/domain.hpp"
#include "hypervisor/internal_command.hpp"

namespace icecore::hypervisor {

struct FreezeOptions {
  // The longest the guest may stay frozen. Windows gives up by itself after about 10 s, so ours comes first.
  base::Milliseconds cap = std::chrono::seconds(30);
  base::Milliseconds windows_cap = std::chrono::seconds(8);
  // The longest the freeze call may take, in whole seconds; 0: as long as the cap.
  base::Milliseconds call_cap{0};
  HelperProgram helper;
};

enum class FreezeState {
  frozen,
  not_running,   // nothing to freeze: an inactive domain's disks are at rest
  guest_paused,  // its agent cannot answer; the disks do not change either
  no_agent,      // the domain has no agent channel, or nobody in the guest has opened it
  agent_silent,  // the agent did not answer in time
  refused,       // the agent answered with an error
};
std::string_view to_string(FreezeState state) noexcept;

struct FreezeReport {
  FreezeState state = FreezeState::no_agent;
  std::string reason;    // for people, unless frozen
  int file_systems = 0;  // what the agent counted; FreeBSD's counts none
  base::Milliseconds call{0};
};

struct ThawReport {
  bool thawed = false;           // the agent confirmed; if not, the watchdog goes on trying
  bool early = false;            // the watchdog, or somebody else, had thawed before: consistency is only `crash`
  std::string reason;            // for people, when not thawed or early
  base::Milliseconds frozen{0};  // from before the freeze call until after the thaw call: an upper bound
  base::Milliseconds call{0};
};

// Thaws a running guest that a dead process may have left frozen. A guest without an answering agent cannot have been
// frozen by one: that is no error. Returns whether the agent thawed any file system.
bool thaw_guest(Domain& domain);

class Freeze {
 public:
  // Asks the agent whether it listens and starts the watchdog; the guest is not touched yet. The domain must outlive
  // this. Throws only when libvirt or the watchdog process fails; what is wrong with the guest freeze() reports.
  explicit Freeze(Domain& domain, FreezeOptions options = {});
  Freeze(const Freeze&) = delete;
  Freeze& operator=(const Freeze&) = delete;
  // Thaws if thaw() was not called.
  ~Freeze();

  // What freeze() would report at once, without touching the guest.
  const std::optional<FreezeReport>& obstacle() const noexcept { return obstacle_; }
  // Once. After any state but frozen the guest has been thawed already and the reason says why; what an agent that did
  // not answer may yet do is left to the watchdog, so that nobody waits for it a second time.
  FreezeReport freeze();
  // Thaws what freeze() froze; again or without a freeze it returns the first report.
  ThawReport thaw();

 private:
  std::optional<FreezeReport> find_obstacle();
  std::optional<FreezeReport> find_silence();
  void wait_for_agent(base::Milliseconds longest);
  void start_watchdog();
  bool dismiss_watchdog();
  void leave_to_watchdog();
  int send_thaw();

  Domain& domain_;
  FreezeOptions options_;
  base::Milliseconds cap_;
  base::Milliseconds call_cap_{0};
  std::optional<base::Child> watchdog_;
  std::optional<FreezeReport> obstacle_;
  std::optional<base::Stopwatch> frozen_since_;
  int file_systems_ = 0;
  ThawReport report_;
};

}  // namespace icecore::hypervisor
